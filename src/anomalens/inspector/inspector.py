"""Inspector: the one scoring path. Evaluation, command line and services all ask through it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from anomalens import defaults
from anomalens.backbones.runtimes import Runtime, choose
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.calibration import Calibration, Policy
from anomalens.detectors.contract import Detector, State
from anomalens.detectors.spec import DetectorSpec
from anomalens.detectors.tiled import can_be_tiled
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images.augment import Augmentation
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.sizes import Size, lost_by_shrinking
from anomalens.inspector.answering import Explain, answer
from anomalens.inspector.finding import Finding
from anomalens.inspector.fitting import UNCALIBRATED, fit_detector
from anomalens.inspector.golden import score_golden
from anomalens.inspector.held_out import calibrated_on
from anomalens.inspector.loading import blank_detector, naming, on_faithful_runtime, wanted_runtime
from anomalens.inspector.model_card import data_card, plain_settings, versions, warn_about, without_folders
from anomalens.inspector.pairs import stream_pairs
from anomalens.inspector.preparation import preparation
from anomalens.inspector.thumbnails import ARRAY, collect, packed, unpacked
from anomalens.inspector.training_set import TrainingSet
from anomalens.job import Job
from anomalens.progress import Progress, silent

TEMPLATE: Final = "template"  # the detector where there are references


@dataclass(frozen=True)
class Inspector:
    """A fitted, calibrated model; several threads of one process may ask it at a time.

    Attributes
    ----------
    preprocessing : Preprocessing
    detector : Detector
    calibration : Calibration
    runtime : Runtime
        What executes the networks now.
    card : dict
        How the model was made: settings, seed, data hash, versions, golden scores, warnings.
    name : str
        The model file's name, for findings.
    thumbnails : dict of str to bytes
        Small JPEGs of normal images by id, where they were asked for.
    """

    preprocessing: Preprocessing
    detector: Detector
    calibration: Calibration
    runtime: Runtime
    card: Mapping[str, Any]
    name: str = "unsaved"
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        normal: object,
        *,
        references: object | None = None,
        detector: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        size: Size | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        preprocess: str | Preprocessing = "stretch",
        augment: str | Augmentation | None = None,
        copies: int = 4,
        policy: str | Policy | None = None,
        runtime: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
        seed: int = 0,
        keep_thumbnails: int = 0,
        checkpoints: Path | None = None,
        feature_cache: Path | None = None,
        progress: Progress = silent,
    ) -> Self:
        """Learn from normal images and calibrate.

        Parameters
        ----------
        normal : folder, glob, CSV manifest, list of paths or arrays, array [n, h, w(, c)], ImageSet
            Normal images. Of a folder laid out as a dataset only the normal training images.
        references : folder, glob, manifest, list of paths or arrays, ImageSet, optional
            For detectors that compare each image with its own template: found by name or, in a list, in the
            order of the images; one alone belongs to all. A manifest of `normal` may name them instead.
        detector : str, optional
            A name from `anomalens detectors`, several fused (`combine:knn,gaussian`), or one on tiles
            (`tiled:auto`). By default `auto`, and `template` where there are references.
        parameters : mapping
            The detector's parameters: values, or texts as `-p` takes them.
        size : int, (width, height) or "native", optional
            Of the prepared images, in pixels; also as a text, "4000x3000". "native" is the size that most
            of the images have. By default native on tiles, else see `preparation.usual_side`.
        tile, overlap : int, optional
            For images of many megapixels and a detector that gives maps: cut into tiles of this side, in
            pixels, which share at least `overlap` (32). The same as the detector `tiled:NAME`.
        preprocess : str or Preprocessing
            E.g. "pad,grey,standardise"; see `Preprocessing.parse`.
        augment : str or Augmentation, optional
            E.g. "flip,rotate=15": adds `copies` changed copies of each image to learn from.
        policy : str or Policy
            How the threshold is chosen; by default a false-alarm rate of 0.01.
        runtime, precision, threads
            See `anomalens.backbones.runtimes.choose`.
        seed : int
            Same images, same seed, same runtime: same model, bit for bit.
        keep_thumbnails : int
            Small pictures of at most this many normal images go into the model file.
        checkpoints, feature_cache : Path, optional
            Folders that are there, for trainings of networks and for features of whole images; see `Job`.

        Raises
        ------
        InputError
            No usable image, an unknown name, or a value out of range.
        """
        if type(seed) is not int or seed < 0:
            raise SettingError(f"The seed must be a whole number from 0, not {seed!r:.40}.")
        images = ImageSet.normal(normal)
        if references is not None:
            images = images.with_references(references)
        has_references = any(entry.reference is not None for entry in images)
        spec = DetectorSpec.parse(detector or (TEMPLATE if has_references else defaults.DETECTOR))
        if tile is not None:
            spec = spec.on_tiles()
        elif overlap is not None and not spec.tiled:
            raise SettingError(f"An overlap of {overlap} was given without a tile; give the tile's side too.")
        cut = {key: value for key, value in (("tile", tile), ("overlap", overlap)) if value is not None}
        unfitted = spec.make({**(parameters or {}), **cut})
        preprocess = preparation(preprocess, images, size=size, detector=unfitted)
        if isinstance(augment, str):
            augment = Augmentation.parse(augment)
        if isinstance(policy, str):
            policy = Policy.parse(policy)
        policy = policy or Policy()
        if policy.needs_labels:
            raise SettingError(
                f"The policy {str(policy)!r} needs labelled anomalies, and fit sees normal images only; fit "
                "with a false-alarm rate first, then run  anomalens calibrate  with a labelled manifest."
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if has_references and not unfitted.uses_references:
                warnings.warn(
                    f"{spec.name} does not use references; use --detector {TEMPLATE} to compare each image "
                    "with its own.",
                    AnomalensWarning,
                    stacklevel=2,
                )
            training = TrainingSet.collect(
                images,
                preprocess,
                augmentation=augment,
                copies=copies,
                seed=seed,
                paired=has_references and unfitted.uses_references,
                progress=progress,
            )
            warn_about(training)
            tiles = can_be_tiled(unfitted)
            lost = lost_by_shrinking(training.images, preprocess.output_size, tiles=tiles)
            if lost is not None and not spec.tiled:
                warnings.warn(lost, AnomalensWarning, stacklevel=2)
            fitted, calibration, used = fit_detector(
                unfitted,
                training,
                policy=policy,
                job=Job(
                    choose(runtime, precision=precision, threads=threads),
                    seed,
                    progress,
                    checkpoints,
                    feature_cache,
                ),
            )
            if calibration.threshold.note:
                warnings.warn(calibration.threshold.note, AnomalensWarning, stacklevel=2)
        for item in caught:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        notes = [str(w.message) for w in caught if issubclass(w.category, AnomalensWarning)]
        card = {
            "detector": {"name": spec.name, "settings": plain_settings(unfitted.parameters)},
            "size": list(training.size),
            "augmentation": None if augment is None else {**augment.to_json(), "copies": copies},
            "seed": seed,
            "golden": score_golden(fitted, training.size),
            "calibrated_on": {"runtime": used.to_json(), "versions": versions()},
            "data": data_card(training),
            "versions": versions(),
            "notes": [without_folders(note, images) for note in notes],
        }
        thumbnails = collect(training, keep_thumbnails, seed=seed)
        return cls(preprocess, fitted, calibration, used, card, thumbnails=thumbnails)

    def check(
        self,
        images: object,
        *,
        references: object | None = None,
        explain: Explain = "none",
        workers: int = 2,
        progress: Progress = silent,
    ) -> Iterator[Finding]:
        """Answer images one by one, in order; an unreadable image is a finding with an `error`.

        Parameters
        ----------
        images : anything that `ImageSet.open` takes
        references : optional
            Each image's own template, as `fit` takes them; detectors that use none ignore them.
        explain : "none", "flagged" or "all"
            Of which images the findings say why.
        workers : int
            Threads that decode and prepare ahead of scoring.

        Raises
        ------
        InputError
            Nothing names an image, or the model needs references and there are none.
        """
        images = self._with_references(ImageSet.open(images), references)
        return self._answers(images, explain=explain, workers=workers, progress=progress)

    def _with_references(self, images: ImageSet, references: object | None) -> ImageSet:
        needed = self.detector.uses_references
        if references is not None and needed:
            images = images.with_references(references)
        if needed and len(images) and not any(entry.reference is not None for entry in images):
            raise SettingError(
                f"The model {self.name} compares each image with its own reference, and none was given; add "
                "--reference DIR (in Python references=)."
            )
        if references is not None and not needed:
            warnings.warn(
                f"The model {self.name} does not use references; they are ignored.",
                AnomalensWarning,
                stacklevel=3,
            )
        return images

    def _answers(
        self, images: ImageSet, *, explain: Explain, workers: int, progress: Progress
    ) -> Iterator[Finding]:
        steps = stream_pairs(
            images, self.preprocessing, paired=self.detector.uses_references, workers=workers
        )
        for index, pair in progress(steps, label="checking", total=len(images)):
            yield answer(
                images[index],
                pair,
                detector=self.detector,
                calibration=self.calibration,
                model=self.name,
                why=explain,
            )

    def calibrate(
        self,
        policy: str | Policy,
        images: object | None = None,
        *,
        references: object | None = None,
        progress: Progress = silent,
    ) -> Self:
        """The same detector with another threshold, or with other calibration images.

        Parameters
        ----------
        policy : str or Policy
        images : optional
            Normal images that the model has not seen. A manifest may also hold labelled anomalies,
            which only the policies `f1` and `youden` use.
        references : optional
            Each image's own template, as `fit` takes them.

        Raises
        ------
        InputError
            The policy needs labels and there are none, or no image is left to calibrate on.
        """
        if isinstance(policy, str):
            policy = Policy.parse(policy)
        card = dict(self.card)
        if images is None:
            calibration = self.calibration.with_policy(policy)
        else:
            given = self._with_references(ImageSet.open(images), references)
            calibration = calibrated_on(self, given, policy, progress)
            size = (int(card["size"][0]), int(card["size"][1]))
            card["golden"] = score_golden(self.detector, size)
            card["calibrated_on"] = {"runtime": self.runtime.to_json(), "versions": versions()}
        # what was noted of the former threshold no longer holds
        former = self.calibration.threshold.note
        card["notes"] = [
            note
            for note in card["notes"]
            if note != former and not (calibration.calibrated and UNCALIBRATED in note)
        ]
        if calibration.threshold.note:
            card["notes"].append(calibration.threshold.note)
            warnings.warn(calibration.threshold.note, AnomalensWarning, stacklevel=2)
        return replace(self, calibration=calibration, card=card)

    def __reduce__(self) -> NoReturn:
        raise SettingError(
            "An Inspector stays in its process: save it, and load the file in each other one with "
            "Inspector.load."
        )

    def save(self, path: str | Path) -> Path:
        """Write one file; never leaves a half-written one.

        Raises
        ------
        InputError
            The place cannot be written to.
        """
        path = Path(path)
        state = self.detector.state()
        listed, pictures = packed(self.thumbnails)
        write_bundle(
            path,
            Bundle(
                {
                    **self.card,
                    "preprocessing": self.preprocessing.to_json(),
                    "calibration": self.calibration.to_json(),
                    "runtime": self.runtime.to_json(),
                    "state": dict(state.numbers),
                    **({"thumbnails": listed} if listed else {}),
                },
                {**state.arrays, **pictures},
                state.graphs,
            ),
        )
        return path

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        runtime: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Read a model file and make it ready on this machine.

        By default the runtime that calibrated the threshold is used, where it is installed. On any
        other the golden images are scored, and where they drift beyond the tolerance of
        `anomalens.inspector.golden.TOLERANCE` the recorded runtime, or else ONNX Runtime in float32,
        takes over with a warning.

        Raises
        ------
        ModelFileError
            The file is missing, damaged, foreign, edited or newer than this version.
        """
        path = Path(path)
        bundle = read_bundle(path)
        card = bundle.card
        with naming(path):
            size = (int(card["size"][0]), int(card["size"][1]))
            preprocessing = Preprocessing.from_json(card["preprocessing"])
            calibration = Calibration.from_json(card["calibration"])
            recorded = Runtime.from_json(card["calibrated_on"]["runtime"])
            name = card["detector"]["name"]
            if not isinstance(name, str):
                raise ValueError("the detector's name is damaged")
            arrays = dict(bundle.arrays)
            thumbnails = unpacked(card.get("thumbnails", {}), arrays.pop(ARRAY, None))
            state = State(card["state"], arrays, bundle.graphs)
            golden = card["golden"]
            data, notes = card["data"], card["notes"]
            if type(data["n_images"]) is not int or not isinstance(notes, list):
                raise ValueError("the record of the normal images is damaged")
            if not all(isinstance(note, str) for note in notes):
                raise ValueError("the notes are no texts")
            if not isinstance(card["versions"], dict) or not isinstance(card["detector"]["settings"], dict):
                raise ValueError("the record of how the model was made is damaged")
            if not all(isinstance(name, str) for name in data["image_hashes"]):
                raise ValueError("the hashes of the normal images are damaged")
            if preprocessing.output_size != (size[1], size[0]):
                raise ValueError("the prepared size and the network's size differ")
        blank = blank_detector(path, name)
        wanted = wanted_runtime(recorded, runtime, precision, threads)
        with naming(path):
            detector, used = on_faithful_runtime(blank, state, size, golden, wanted, recorded, card)
        return cls(preprocessing, detector, calibration, used, card, path.name, thumbnails)

"""Inspector: the one scoring path. Evaluation, command line and services all ask through it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from anomalens import defaults
from anomalens.backbones.runtimes import Runtime, choose
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.calibration import Calibration, Policy
from anomalens.detectors.contract import Detector, State
from anomalens.detectors.registry import detector_names, load_detector
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images.augment import Augmentation
from anomalens.images.image_set import ImageSet
from anomalens.images.prefetch import stream
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.answering import Explain, answer
from anomalens.inspector.finding import Finding
from anomalens.inspector.fitting import fit_detector
from anomalens.inspector.golden import score_golden
from anomalens.inspector.loading import detector_class, naming, on_faithful_runtime, wanted_runtime
from anomalens.inspector.model_card import data_card, plain_settings, short_hash, versions, warn_about
from anomalens.inspector.thumbnails import ARRAY, collect, packed, unpacked
from anomalens.inspector.training_set import TrainingSet
from anomalens.progress import Progress, silent

DEFAULT_SIZE: Final = 256


@dataclass(frozen=True)
class Inspector:
    """A fitted, calibrated model.

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
        detector: str = defaults.DETECTOR,
        parameters: Mapping[str, Any] | None = None,
        size: int = DEFAULT_SIZE,
        preprocess: str | Preprocessing = "stretch",
        augment: str | Augmentation | None = None,
        copies: int = 4,
        policy: str | Policy | None = None,
        runtime: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
        seed: int = 0,
        keep_thumbnails: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Learn from normal images and calibrate.

        Parameters
        ----------
        normal : folder, glob, CSV manifest, list of paths or arrays, array [n, h, w(, c)], ImageSet
            Normal images. Of a folder laid out as a dataset only the normal training images.
        detector : str
            A name from `anomalens detectors`, or several fused: `combine:knn,gaussian`.
        parameters : mapping
            The detector's parameters: values, or texts as `-p` takes them.
        size : int
            Side of the prepared images, in pixels.
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

        Raises
        ------
        InputError
            No usable image, an unknown name, or a value out of range.
        """
        if type(seed) is not int or seed < 0:
            raise SettingError(f"The seed must be a whole number from 0, not {seed!r:.40}.")
        images = ImageSet.normal(normal)
        kind = load_detector(detector)
        name = detector if detector in detector_names() else kind.name  # a combination, as it is spelt
        settings = kind.settings_type.from_values(parameters or {})
        if not isinstance(preprocess, Preprocessing):
            preprocess = Preprocessing.parse(preprocess, width=size, height=size)
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
            training = TrainingSet.collect(
                images, preprocess, augmentation=augment, copies=copies, seed=seed, progress=progress
            )
            warn_about(training)
            fitted, calibration, used = fit_detector(
                kind(settings),
                training,
                policy=policy,
                runtime=choose(runtime, precision=precision, threads=threads),
                seed=seed,
                progress=progress,
            )
            if calibration.threshold.note:
                warnings.warn(calibration.threshold.note, AnomalensWarning, stacklevel=2)
        for item in caught:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        card = {
            "detector": {"name": name, "settings": plain_settings(settings.to_plain())},
            "size": list(training.size),
            "augmentation": None if augment is None else {**augment.to_json(), "copies": copies},
            "seed": seed,
            "golden": score_golden(fitted, training.size),
            "calibrated_on": {"runtime": used.to_json(), "versions": versions()},
            "data": data_card(training),
            "versions": versions(),
            "notes": [str(w.message) for w in caught if issubclass(w.category, AnomalensWarning)],
        }
        thumbnails = collect(training, keep_thumbnails, seed=seed)
        return cls(preprocess, fitted, calibration, used, card, thumbnails=thumbnails)

    def check(
        self,
        images: object,
        *,
        explain: Explain = "none",
        workers: int = 2,
        progress: Progress = silent,
    ) -> Iterator[Finding]:
        """Answer images one by one, in order; an unreadable image is a finding with an `error`.

        Parameters
        ----------
        images : anything that `ImageSet.open` takes
        explain : "none", "flagged" or "all"
            Of which images the findings say why; costs about as much again as scoring them.
        workers : int
            Threads that decode and prepare ahead of scoring.
        """
        images = ImageSet.open(images)
        steps = stream(
            images,
            self.preprocessing.apply,
            workers=workers,
            reduce_to=self.preprocessing.reduce_to,
        )
        for index, prepared in progress(steps, label="checking", total=len(images)):
            yield answer(
                images[index],
                prepared,
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
        progress: Progress = silent,
    ) -> Self:
        """The same detector with another threshold, or with other calibration images.

        Parameters
        ----------
        policy : str or Policy
        images : optional
            Normal images that the model has not seen. A manifest may also hold labelled anomalies,
            which only the policies `f1` and `youden` use.

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
            calibration = self._held_out(policy, images, progress)
            size = (int(card["size"][0]), int(card["size"][1]))
            card["golden"] = score_golden(self.detector, size)
            card["calibrated_on"] = {"runtime": self.runtime.to_json(), "versions": versions()}
        # what was noted of the former threshold no longer holds
        former = self.calibration.threshold.note
        card["notes"] = [note for note in card["notes"] if note != former]
        if calibration.threshold.note:
            card["notes"].append(calibration.threshold.note)
            warnings.warn(calibration.threshold.note, AnomalensWarning, stacklevel=2)
        return replace(self, calibration=calibration, card=card)

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
            if not all(isinstance(name, str) for name in data["image_hashes"]):
                raise ValueError("the hashes of the normal images are damaged")
            if preprocessing.output_size != (size[1], size[0]):
                raise ValueError("the prepared size and the network's size differ")
        kind = detector_class(path, name)
        wanted = wanted_runtime(recorded, runtime, precision, threads)
        with naming(path):
            detector, used = on_faithful_runtime(kind, state, size, golden, wanted, recorded, card)
        return cls(preprocessing, detector, calibration, used, card, path.name, thumbnails)

    def _held_out(self, policy: Policy, source: object, progress: Progress) -> Calibration:
        given = ImageSet.open(source)
        images = given
        known = set(self.card.get("data", {}).get("image_hashes", ()))
        fresh = [i for i in range(len(images)) if short_hash(images, i) not in known]
        if len(fresh) < len(images):
            warnings.warn(
                f"{len(images) - len(fresh)} of {len(images)} calibration images are among those the model "
                "learnt from and are left out.",
                AnomalensWarning,
                stacklevel=3,
            )
        images = images.subset(fresh)
        normal: list[int] = []
        scores: dict[str, list[float]] = {"normal": [], "anomalous": []}
        maxima: list[float] = []
        problems = 0
        for i, finding in enumerate(self.check(images, progress=progress)):
            if finding.score is None:
                problems += 1
                continue
            is_normal = images[i].label in (None, "good")
            scores["normal" if is_normal else "anomalous"].append(finding.score)
            if is_normal:
                normal.append(i)
                if finding.map is not None:
                    maxima.append(float(finding.map.max()))
        if problems:
            warnings.warn(
                f"{problems} of {len(images)} calibration images cannot be read and are left out.",
                AnomalensWarning,
                stacklevel=3,
            )
        if not normal:
            raise SettingError(
                f"None of the {len(given)} images in {given.origin} is a readable normal image that the "
                "model has not seen; give some to calibrate on."
            )
        names = TrainingSet.collect(images.subset(normal), self.preprocessing).n_groups
        return Calibration.from_scores(
            np.array(scores["normal"]),
            np.array(maxima) if maxima else None,
            policy=policy,
            method="held-out",
            n_groups=names,
            anomalous=np.array(scores["anomalous"]),
        )

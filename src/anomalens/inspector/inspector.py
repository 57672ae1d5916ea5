"""Inspector: the one scoring path. Evaluation, command line and services all ask through it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self

from anomalens.calibration import Policy
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images.augment import Augmentation
from anomalens.images.dataset_folder import normal_images
from anomalens.images.image_entry import ImageEntry, entries_of
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.sizes import Size
from anomalens.inspector.answering import Explain, answer
from anomalens.inspector.finding import Finding
from anomalens.inspector.fit_model import fit_model
from anomalens.inspector.fit_options import FitOptions
from anomalens.inspector.loading import load_model
from anomalens.inspector.model import Model
from anomalens.inspector.pairs import stream_pairs
from anomalens.inspector.recalibration import recalibrated
from anomalens.inspector.saving import save_model
from anomalens.inspector.time_budget import fitted_within
from anomalens.progress import Progress, silent


@dataclass(frozen=True)
class Inspector(Model):
    """A model to ask; several threads of one process may ask it at a time."""

    @classmethod
    def fit(
        cls,
        normal: object,
        *,
        references: object | None = None,
        detector: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        size: Size | None = None,
        quality: str | None = None,
        ms: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        preprocess: str | Preprocessing = "stretch",
        augment: str | Augmentation | None = None,
        copies: int = 4,
        groups: str = "found",
        captures: str = "declared",
        p_values: str = "pooled",
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
            How large images are prepared, in pixels; also as a text, "4000x3000". "native" is what most
            of them have. By default native on tiles, else by quality.
        quality : "fast", "balanced" or "best", optional
            How many pixels of an image a network sees; see `preparation.suited_size`.
        ms : int, optional
            Instead: milliseconds that a check of one image may take here; see `time_budget.fitted_within`.
        tile, overlap : int, optional
            For images of many megapixels and a detector that gives maps: cut into tiles of this side, in
            pixels, which share at least `overlap` (32). The same as the detector `tiled:NAME`.
        preprocess : str or Preprocessing
            E.g. "pad,grey,standardise"; see `Preprocessing.parse`.
        augment : str or Augmentation, optional
            E.g. "flip,rotate=15": adds `copies` changed copies of each image to learn from.
        groups : "found" or "declared"
            Whether copies and near copies are found and left out together, or only groups that are declared.
        captures : "declared" or "folders"
            Whether entries say of which day, shift or camera they are, or their folders do. Where there are
            two or more, each is scored by a model that has seen none of it (five more fits at most).
        p_values : "pooled" or "class"
            Whether an image is compared with all normal ones, or with those of its own class.
        policy : str or Policy
            How the threshold is chosen; by default a false-alarm rate of 0.05.
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
        options = FitOptions(
            detector=detector,
            parameters=parameters or {},
            size=size,
            quality=quality,
            ms=ms,
            tile=tile,
            overlap=overlap,
            preprocess=preprocess,
            augment=augment,
            copies=copies,
            groups=groups,
            captures=captures,
            p_values=p_values,
            policy=policy,
            runtime=runtime,
            precision=precision,
            threads=threads,
            seed=seed,
            keep_thumbnails=keep_thumbnails,
            checkpoints=checkpoints,
            feature_cache=feature_cache,
        )
        return cls.fit_with(options, normal, references=references, progress=progress)

    @classmethod
    def fit_with(
        cls,
        options: FitOptions,
        normal: object,
        *,
        references: object | None = None,
        progress: Progress = silent,
    ) -> Self:
        """Learn from normal images and calibrate, as a record of options says; see `fit`."""
        images = normal_images(normal)
        if references is not None:
            images = images.with_references(references)
        fitted = partial(cls._fitted, images, progress)
        return fitted(options) if options.ms is None else fitted_within(images, options, fitted)

    @classmethod
    def _fitted(cls, images: ImageSet, progress: Progress, options: FitOptions) -> Self:
        return cls._of(fit_model(images, options, progress=progress))

    def check(
        self,
        images: object,
        *,
        references: object | None = None,
        explain: Explain = "none",
        pictures: bool = False,
        workers: int = 2,
        progress: Progress = silent,
    ) -> Iterator[Finding]:
        """Answer images one by one, in order; an unreadable image is a finding with an `error`.

        Parameters
        ----------
        images : anything that `ImageSet.open` takes, or an iterator of images
            An iterator, such as a generator over a camera's pictures, may give arrays, paths, entries of a
            set, or (id, array); each is answered as it comes.
        references : optional
            Each image's own template, as `fit` takes them; detectors that use none ignore them.
        explain : "none", "flagged" or "all"
            Which images' findings say why.
        pictures : bool
            Whether findings carry the decoded pictures, for reports.
        workers : int
            Threads that decode and prepare ahead of scoring.

        Raises
        ------
        InputError
            Nothing names an image, or the model needs references and there are none.
        """
        if isinstance(images, Iterator):
            entries: Iterable[ImageEntry] = entries_of(images)
            total = None
        else:
            opened = self._with_references(ImageSet.open(images), references)
            entries, total = opened, len(opened)
        paired = self.detector.uses_references
        steps = stream_pairs(entries, self.preprocessing, paired=paired, pictures=pictures, workers=workers)
        return (
            answer(self, entry, pair, why=explain)
            for entry, pair in progress(steps, label="checking", total=total)
        )

    def answer(
        self,
        pixels: object,
        id: str = "image",
        *,
        reference: object | None = None,
        class_name: str | None = None,
        explain: Explain = "none",
    ) -> Finding:
        """Answer one picture in hand.

        Parameters
        ----------
        pixels : array [h, w] or [h, w, 3]
            As `check` takes them.
        id : str
            What the finding calls it.
        reference : array, optional
            Its own template, for models that compare pairs.
        class_name : str, optional
            Which class's normal images it is compared with, in models of `p_values="class"`.
        """
        entry = replace(next(entries_of(iter([(id, pixels)]))), class_name=class_name)
        if reference is not None:
            (template,) = entries_of(iter([(f"reference of {id}", reference)]))
            entry = replace(entry, reference=template)
        steps = stream_pairs(ImageSet((entry,), id), self.preprocessing, paired=self.detector.uses_references)
        ((_, pair),) = steps
        return answer(self, entry, pair, why=explain)

    def _with_references(self, images: ImageSet, references: object | None) -> ImageSet:
        needed = self.detector.uses_references
        if references is not None and needed:
            images = images.with_references(references)
        if self.detector.earlier and not any(entry.reference is not None for entry in images):
            images = images.with_earlier(self.detector.earlier)
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

    def calibrate(
        self,
        policy: str | Policy,
        images: object | None = None,
        *,
        add: bool = False,
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
        add : bool
            Let the images count beside those that calibrated before, if they score alike; where they do not,
            they are of another day and count alone. A note on the card says which.
        references : optional
            Each image's own template, as `fit` takes them.

        Raises
        ------
        InputError
            Images are to be added and none are given, or for a policy that needs labels; such a policy has
            none, or no image is left to calibrate on.
        """
        if isinstance(policy, str):
            policy = Policy.parse(policy)
        given = None if images is None else self._with_references(ImageSet.open(images), references)
        calibration, card = recalibrated(self, policy, given, add=add, progress=progress)
        if calibration.threshold.note:
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
        save_model(self, path)
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

        By default the runtime that calibrated the threshold is used, where it is installed. On any other,
        and always where the network computes in 8 bits, the golden images are scored, and where they
        drift beyond the tolerance of `anomalens.inspector.golden.TOLERANCE` the recorded runtime, or else
        ONNX Runtime in float32, takes over with a warning.

        Raises
        ------
        ModelFileError
            The file is missing, damaged, foreign, edited or newer than this version.
        """
        return cls._of(load_model(Path(path), runtime=runtime, precision=precision, threads=threads))

    @classmethod
    def _of(cls, model: Model) -> Self:
        return cls(**{f.name: getattr(model, f.name) for f in fields(Model)})

"""Inspector: the one scoring path. Evaluation, command line and services all ask through it."""

from __future__ import annotations

import math
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from anomalens.backbones.runtimes import Runtime, choose
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.calibration import Calibration, Policy, Region, find_regions
from anomalens.calibration.conformal import MIN_GROUPS
from anomalens.calibration.regions import Box
from anomalens.detectors.contract import Batch, Detector, State
from anomalens.detectors.registry import load_detector
from anomalens.errors import AnomalensWarning, ImageError, InputError, ModelFileError, SettingError
from anomalens.images.augment import Augmentation
from anomalens.images.geometry import Affine, Prepared
from anomalens.images.image_set import ImageEntry, ImageSet
from anomalens.images.prefetch import stream
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.finding import Finding, calibration_summary, explain
from anomalens.inspector.fitting import fit_detector
from anomalens.inspector.golden import TOLERANCE, drift, score_golden
from anomalens.inspector.training_set import TrainingSet
from anomalens.progress import Progress, silent

DEFAULT_SIZE: Final = 256
FEW_IMAGES: Final = 10


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
    """

    preprocessing: Preprocessing
    detector: Detector
    calibration: Calibration
    runtime: Runtime
    card: Mapping[str, Any]
    name: str = "unsaved"

    @classmethod
    def fit(
        cls,
        normal: object,
        *,
        detector: str = "patchcore",
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
        progress: Progress = silent,
    ) -> Self:
        """Learn from normal images and calibrate.

        Parameters
        ----------
        normal : folder, glob, CSV manifest, list of paths or arrays, array [n, h, w(, c)], ImageSet
            Normal images. Of a folder laid out as a dataset only the normal training images.
        detector : str
            A name from `anomalens detectors`.
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

        Raises
        ------
        InputError
            No usable image, an unknown name, or a value out of range.
        """
        if type(seed) is not int or seed < 0:
            raise SettingError(f"The seed must be a whole number from 0, not {seed!r:.40}.")
        images = ImageSet.normal(normal)
        detector_class = load_detector(detector)
        settings = _settings(detector_class, parameters or {})
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
            _warn_about(training)
            fitted, calibration, used = fit_detector(
                detector_class(settings),
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
            "detector": {"name": detector, "settings": _plain(asdict(settings))},
            "size": list(training.size),
            "augmentation": None if augment is None else {**augment.to_json(), "copies": copies},
            "seed": seed,
            "golden": score_golden(fitted, training.size),
            "calibrated_on": {"runtime": used.to_json(), "versions": _versions()},
            "data": _data_card(training),
            "versions": _versions(),
            "notes": [str(w.message) for w in caught if issubclass(w.category, AnomalensWarning)],
        }
        return cls(preprocess, fitted, calibration, used, card)

    def check(
        self, images: object, *, workers: int = 2, progress: Progress = silent
    ) -> Iterator[Finding]:
        """Answer images one by one, in order; an unreadable image is a finding with an `error`.

        Parameters
        ----------
        images : anything that `ImageSet.open` takes
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
            yield self._finding(images[index], prepared)

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
            card["calibrated_on"] = {"runtime": self.runtime.to_json(), "versions": _versions()}
        if calibration.threshold.note:
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
        write_bundle(
            path,
            Bundle(
                {
                    **self.card,
                    "preprocessing": self.preprocessing.to_json(),
                    "calibration": self.calibration.to_json(),
                    "runtime": self.runtime.to_json(),
                    "state": dict(state.numbers),
                },
                state.arrays,
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
        with _naming(path):
            size = (int(card["size"][0]), int(card["size"][1]))
            preprocessing = Preprocessing.from_json(card["preprocessing"])
            calibration = Calibration.from_json(card["calibration"])
            recorded = Runtime.from_json(card["calibrated_on"]["runtime"])
            detector_class = load_detector(card["detector"]["name"])
            state = State(card["state"], bundle.arrays, bundle.graphs)
            golden = card["golden"]
            data, notes = card["data"], card["notes"]
            if type(data["n_images"]) is not int or not isinstance(notes, list):
                raise ValueError("the record of the normal images is damaged")
            if not all(isinstance(name, str) for name in data["image_hashes"]):
                raise ValueError("the hashes of the normal images are damaged")
            if preprocessing.output_size != (size[1], size[0]):
                raise ValueError("the prepared size and the network's size differ")
        wanted = _wanted_runtime(recorded, runtime, precision, threads)
        with _naming(path):
            detector, used = _on_faithful_runtime(
                detector_class, state, size, golden, wanted, recorded, card
            )
        return cls(preprocessing, detector, calibration, used, card, path.name)

    def _finding(self, entry: ImageEntry, prepared: Prepared | ImageError) -> Finding:
        page = entry.page + 1 if "#page" in entry.id else None
        blank = Finding(
            image=entry.id, page=page, detector=self.detector.name, model=self.name
        )
        if isinstance(prepared, ImageError):
            return replace(blank, error=prepared.problem)
        try:
            scores = self.detector.score(Batch([prepared.pixels], [entry.id]))
        except InputError as error:
            return replace(blank, error=str(error))
        score = float(scores.image[0])
        if not math.isfinite(score):
            return replace(blank, error=f"its score is {score}, no finite number; use another backbone")
        anomalous = self.calibration.is_anomalous(score)
        anomaly_map = None if scores.maps is None else scores.maps[0]
        regions: tuple[Region, ...] = ()
        threshold = self.calibration.region_threshold
        if anomalous and anomaly_map is not None and threshold is not None:
            # a flagged image always shows where: at least the surroundings of its peak
            level = min(threshold, 0.9 * float(anomaly_map.max()))
            regions = find_regions(
                anomaly_map, level, _box_mapper(prepared.to_original, prepared.original_size)
            )
        return replace(
            blank,
            score=score,
            p_value=self.calibration.p_value(score),
            percentile=self.calibration.percentile(score),
            anomalous=anomalous,
            threshold=self.calibration.threshold.value,
            calibration=calibration_summary(self.calibration),
            regions=regions,
            explanation=explain(self.calibration, score, regions),
            map=anomaly_map,
            map_to_original=prepared.to_original,
            original_size=prepared.original_size,
        )

    def _held_out(self, policy: Policy, source: object, progress: Progress) -> Calibration:
        images = ImageSet.open(source)
        known = set(self.card.get("data", {}).get("image_hashes", ()))
        fresh = [i for i in range(len(images)) if _short_hash(images, i) not in known]
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
                f"None of the {len(images)} images in {images.origin} is a readable normal image that the "
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


def _settings(detector_class: type[Detector], given: Mapping[str, Any]) -> Any:
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    settings = detector_class.settings_type.from_texts(texts)
    known = asdict(settings)
    for key in given:
        if key not in known:
            detector_class.settings_type.from_texts({key: ""})  # raises, with the nearest name
    values = {key: value for key, value in given.items() if not isinstance(value, str)}
    return replace(settings, **values)


def _warn_about(training: TrainingSet) -> None:
    n = len(training.images)
    found = []
    if training.problems:
        found.append(
            f"{len(training.problems)} of {n + len(training.problems)} images cannot be read and are left "
            f"out; the first: {training.problems[0]}"
        )
    if training.images.ignored:
        found.append(
            f"{len(training.images.ignored)} files are no images and are left out, "
            f"for example {training.images.ignored[0]}."
        )
    if MIN_GROUPS <= n < FEW_IMAGES:
        found.append(f"{n} normal images are very few; {FEW_IMAGES} or more give steadier verdicts.")
    if training.n_groups < n:
        found.append(
            f"{n} images form {training.n_groups} groups (copies, near copies or declared groups); "
            "a group is left out as a whole when calibrating."
        )
    if training.odd_sizes:
        found.append(
            f"{len(training.odd_sizes)} of {n} images have another size than the rest, for example "
            f"{training.odd_sizes[0]}; check that they belong here."
        )
    for text in found:
        warnings.warn(text, AnomalensWarning, stacklevel=3)


def _data_card(training: TrainingSet) -> dict[str, Any]:
    return {
        "n_images": len(training.images),
        "n_groups": training.n_groups,
        "n_unreadable": len(training.problems),
        "sha256": training.images.data_sha256(),
        "image_hashes": sorted(
            {_short_hash(training.images, i) for i in range(len(training.images))}
        ),
    }


def _short_hash(images: ImageSet, index: int) -> str:
    try:
        return images.sha256(index)[:16]
    except InputError:
        return ""


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("anomalens", "numpy", "pillow", "onnxruntime", "openvino"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of which file a card or a state cannot be used."""
    try:
        yield
    except InputError as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from None
    except (
        KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError,
    ) as error:  # fmt: skip
        raise ModelFileError(
            f"{path} lacks what a model needs ({type(error).__name__}: {error}); fit the model again."
        ) from None


def _wanted_runtime(
    recorded: Runtime, name: str | None, precision: str | None, threads: int | None
) -> Runtime:
    """What was asked for, else what calibrated the threshold, else what there is."""
    if name is None:
        try:
            return choose(
                recorded.name, precision=precision or recorded.precision, threads=threads
            )
        except Exception:  # not installed here, or another processor
            return choose("auto", precision=precision or "float32", threads=threads)
    return choose(name, precision=precision or "float32", threads=threads)


def _on_faithful_runtime(
    detector_class: type[Detector],
    state: State,
    size: tuple[int, int],
    golden: dict[str, Any],
    wanted: Runtime,
    recorded: Runtime,
    card: Mapping[str, Any],
) -> tuple[Detector, Runtime]:
    """The detector on the wanted runtime, or on one that agrees with what calibrated it."""
    then, now = card["calibrated_on"]["versions"], _versions()
    tolerance = max(TOLERANCE[wanted.precision], TOLERANCE[recorded.precision])
    candidates = [wanted]
    for name in (recorded.name, "onnxruntime"):
        try:
            candidates.append(choose(name, precision="float32", threads=wanted.threads))
        except Exception:  # not installed here
            continue
    worst = 0.0
    detector: Detector | None = None
    for runtime in dict.fromkeys(candidates):
        detector = detector_class.from_state(state, size=size, runtime=runtime)
        same = (runtime.name, runtime.precision) == (recorded.name, recorded.precision)
        same = same and then.get(runtime.name) == now.get(runtime.name)
        moved = 0.0 if same else drift(golden, detector, size)
        if moved <= tolerance:
            if runtime != wanted:
                warnings.warn(
                    f"{wanted.name} in {wanted.precision} moves the golden scores by {worst:.2g}, more than "
                    f"{tolerance:g}; {runtime.name} in {runtime.precision} is used instead.",
                    AnomalensWarning,
                    stacklevel=4,
                )
            return detector, runtime
        worst = max(worst, moved)
    assert detector is not None
    warnings.warn(
        f"No runtime here reproduces the golden scores (largest relative drift {worst:.2g}, tolerance "
        f"{tolerance:g}): the threshold may not hold; run  anomalens calibrate  with normal images.",
        AnomalensWarning,
        stacklevel=4,
    )
    return detector, runtime


def _box_mapper(to_original: Affine, size: tuple[int, int]) -> Any:
    """Boxes of map pixels to boxes of original pixels, clipped to the image."""

    def convert(box: Box) -> Box:
        x0, y0, x1, y1 = to_original.box(box)
        left = min(max(0, math.floor(x0)), size[0] - 1)
        top = min(max(0, math.floor(y0)), size[1] - 1)
        right = min(max(left + 1, math.ceil(x1)), size[0])
        bottom = min(max(top + 1, math.ceil(y1)), size[1])
        return left, top, right, bottom

    return convert

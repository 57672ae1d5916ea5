"""The contract as tests: `check_detector(cls)` for any detector class, ours or another package's.

    def test_contract():
        check_detector(MyDetector)

or, one test a check: `@pytest.mark.parametrize("check", list(yield_checks(MyDetector)), ids=str)`. Needs
numpy alone, makes its own images (striped, with slow and fine noise, the same on every machine) and
fits about six times on a dozen of them. It does not measure how good a detector is: the one defect
it paints is one that nothing should miss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import Batch, Detector, Scores, Settings, State
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.threads import one_blas_thread

FAMILIES: Final = (
    "density", "one-class", "reconstruction", "self-supervised", "patches", "classifier",
)  # fmt: skip
SIZE: Final = (64, 96)  # not square, so that swapped height and width show
_N_TRAINING: Final = 12
_N_FRESH: Final = 4
_THREADS: Final = 4
_ROUNDS: Final = 3


def check_detector(
    cls: type[Detector],
    *,
    settings: Settings | None = None,
    size: tuple[int, int] = SIZE,
    runtime: Runtime | None = None,
) -> None:
    """Run every check.

    Parameters
    ----------
    cls : Detector class
    settings : Settings, optional
        For a detector whose defaults do not suit a dozen small images (e.g. names a backbone).
    size : (height, width)
        Of the images in pixels, at least 32 each.
    runtime : Runtime, optional
        What executes graphs; by default ONNX Runtime on one thread.

    Raises
    ------
    AssertionError
        The first broken rule in one sentence that begins with the check's name.
    """
    for check in yield_checks(cls, settings=settings, size=size, runtime=runtime):
        check()


def yield_checks(
    cls: type[Detector],
    *,
    settings: Settings | None = None,
    size: tuple[int, int] = SIZE,
    runtime: Runtime | None = None,
) -> Iterator[Check]:
    """The checks one by one, to be called in any order; they share one fitted detector."""
    trial = _Trial(cls, settings, size, runtime or Runtime())
    for run in _CHECKS:
        yield Check(run.__name__.lstrip("_"), run, trial)


@dataclass(frozen=True)
class Check:
    """One named check; call it."""

    name: str
    _run: Callable[[_Trial], None]
    _trial: _Trial

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        detector = getattr(self._trial.cls, "__name__", repr(self._trial.cls))
        try:
            self._run(self._trial)
        except _Broken as broken:
            raise AssertionError(f"{self.name}: {detector} {broken}") from None
        except Exception as error:  # a detector may fail in any way
            raise AssertionError(f"{self.name}: {detector} raised {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class TexturedImages:
    """Small striped images as `TrainingImages`."""

    pixels: tuple[Pixels, ...]
    groups: NDArray[np.int64]
    references: tuple[Pixels, ...] | None = None

    @classmethod
    def make(cls, count: int, size: tuple[int, int], *, seed: int) -> TexturedImages:
        """`count` different images, each a group of its own."""
        pixels = tuple(_textured(size, seed, i) for i in range(count))
        return cls(pixels, np.arange(count, dtype=np.int64))

    @property
    def ids(self) -> Sequence[str]:
        return [f"image-{i}" for i in range(len(self.pixels))]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels[0].shape[0], self.pixels[0].shape[1]

    def __len__(self) -> int:
        return len(self.pixels)

    def __iter__(self) -> Iterator[Pixels]:
        yield from self.pixels


def painted(image: Pixels) -> tuple[Pixels, NDArray[np.bool_]]:
    """A copy with a gross defect in its middle, a black and red chequered square, and its mask."""
    height, width = image.shape[:2]
    side = min(height, width) // 2
    top, left = (height - side) // 2, (width - side) // 2
    y, x = np.mgrid[:side, :side] // 4
    changed = image.copy()
    changed[top : top + side, left : left + side] = 0
    changed[top : top + side, left : left + side, 0] = 255 * ((y + x) % 2)
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return changed, mask


def _textured(size: tuple[int, int], seed: int, index: int) -> Pixels:
    """uint8 [h, w, 3]: stripes of random phase, a slow change of brightness and fine noise."""
    rng = np.random.default_rng([seed, index])
    y, x = np.mgrid[: size[0], : size[1]]
    stripes = 30 * np.sin((x + 0.3 * y) / 2.5 + rng.uniform(0, 2 * np.pi))
    slow = 10 * np.sin(y / 30 + rng.uniform(0, 2 * np.pi))
    noise = rng.normal(0, 4, size)
    grey = (120 + stripes + slow + noise)[:, :, None] * np.array([1.0, 0.9, 0.8])
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)


class _Broken(Exception):
    """A rule of the contract does not hold."""


def _require(condition: object, problem: str) -> None:
    if not condition:
        raise _Broken(problem)


class _Trial:
    """What the checks share: images, and the detector fitted to them."""

    def __init__(
        self,
        cls: type[Detector],
        settings: Settings | None,
        size: tuple[int, int],
        runtime: Runtime,
    ) -> None:
        self.cls, self.settings, self.size, self.runtime = cls, settings, size, runtime
        self.training = TexturedImages.make(_N_TRAINING, size, seed=0)
        self.fresh = TexturedImages.make(_N_FRESH, size, seed=1)
        self.defects = [painted(image) for image in self.fresh]

    def new(self) -> Detector:
        return self.cls(self.settings)

    def fit(self, detector: Detector, images: TexturedImages, *, seed: int = 0) -> Scores | None:
        if self.cls.uses_references:
            images = replace(images, references=tuple(self.reference_of(image) for image in images))
        with one_blas_thread():  # as the inspector does
            return detector.fit(images, Job(self.runtime, seed))

    @cached_property
    def fitted(self) -> tuple[Detector, Scores | None]:
        detector = self.new()
        return detector, self.fit(detector, self.training)

    def rebuilt(self, state: State) -> Detector:
        return self.cls.from_state(state, size=self.size, runtime=self.runtime)

    def scores(self, detector: Detector, images: Sequence[Pixels]) -> Scores:
        references = [self.reference_of(image) for image in images] if self.cls.uses_references else None
        names = [f"image-{i}" for i in range(len(images))]
        with one_blas_thread():
            return detector.score(Batch(list(images), names, references=references))

    def reference_of(self, image: Pixels) -> Pixels:
        """The image a pixel aside; of a painted one, what it was before."""
        for fresh, (defect, _) in zip(self.fresh, self.defects, strict=True):
            if np.array_equal(image, defect):
                image = fresh
        return np.roll(image, 1, axis=1)


def _declares_what_it_is(trial: _Trial) -> None:
    cls = trial.cls
    _require(isinstance(cls, type) and issubclass(cls, Detector), "is no subclass of Detector.")
    for attribute, needed in (("name", str), ("family", str), ("pixel_level", bool)):
        value = getattr(cls, attribute, None)
        _require(
            isinstance(value, needed) and value != "",
            f"has {attribute} = {value!r}; it needs a {needed.__name__}.",
        )
    _require(cls.family in FAMILIES, f"has the family {cls.family!r}, none of {FAMILIES}.")
    kind: Any = getattr(cls, "settings_type", None)
    _require(
        isinstance(kind, type)
        and issubclass(kind, Settings)
        and is_dataclass(kind)
        and kind.__dataclass_params__.frozen,  # type: ignore[attr-defined]
        f"has settings_type = {kind!r}; it needs a frozen dataclass derived from Settings.",
    )
    for f in fields(cls.settings_type):
        _require(f.metadata.get("help"), f"has a parameter {f.name!r} without a help text.")


def _settings_refuse_unknown_names(trial: _Trial) -> None:
    _refused(
        partial(trial.cls.settings_type.from_texts, {"no_such_parameter": "1"}),
        "takes a parameter that it does not have without a SettingError.",
    )


def _settings_refuse_values_out_of_range(trial: _Trial) -> None:
    kind = trial.cls.settings_type
    for f in fields(kind):
        if "range" not in f.metadata:
            continue
        low, high = f.metadata["range"]
        for value in (low - 1, high + 1, float("nan")):
            _refused(
                partial(kind, **{f.name: value}),
                f"takes {f.name} = {value} without a SettingError; its range is {low} to {high}.",
            )


def _refused(make: Callable[[], object], problem: str) -> None:
    try:
        make()
    except SettingError:
        return
    raise _Broken(problem)


def _fit_and_score_change_no_image(trial: _Trial) -> None:
    images = TexturedImages(tuple(p.copy() for p in trial.training), trial.training.groups.copy())
    detector = trial.new()
    trial.fit(detector, images)
    trial.scores(detector, images.pixels)
    same = all(np.array_equal(now, then) for now, then in zip(images, trial.training, strict=True))
    _require(same, "changes the images that it is given.")
    _require(np.array_equal(images.groups, trial.training.groups), "changes the groups in fit.")


def _scores_have_their_shapes_and_types(trial: _Trial) -> None:
    detector, _ = trial.fitted
    for n in (1, _N_FRESH):
        scores = trial.scores(detector, trial.fresh.pixels[:n])
        _is_array(scores.image, "image scores", np.float64, (n,))
        if trial.cls.pixel_level:
            _require(scores.maps is not None, "is pixel_level and gives no maps.")
            _is_array(scores.maps, "maps", np.float32, (n, *trial.size))
        else:
            _require(scores.maps is None, "is not pixel_level and gives maps.")


def _is_array(value: object, what: str, dtype: type, shape: tuple[int, ...]) -> None:
    found = f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
    _require(
        isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape,
        f"gives {what} as {found:.80}; {dtype.__name__} {list(shape)} is needed.",
    )


def _scores_are_finite(trial: _Trial) -> None:
    detector, _ = trial.fitted
    constant = np.zeros((*trial.size, 3), np.uint8)
    images = [*trial.training, *trial.fresh, trial.defects[0][0], constant, constant + 255]
    scores = trial.scores(detector, images)
    _require(np.isfinite(scores.image).all(), "gives image scores that are not finite.")
    if scores.maps is not None:
        _require(np.isfinite(scores.maps).all(), "gives maps that are not finite.")


def _a_higher_score_is_more_anomalous(trial: _Trial) -> None:
    detector, _ = trial.fitted
    normal = trial.scores(detector, trial.fresh.pixels)
    defect = trial.scores(detector, [image for image, _ in trial.defects])
    _require(
        defect.image.min() > normal.image.max(),
        f"scores grossly painted images from {defect.image.min():.4g} and normal ones up to "
        f"{normal.image.max():.4g}; every painted one must be higher.",
    )
    if defect.maps is not None:
        for anomaly_map, (_, mask) in zip(defect.maps, trial.defects, strict=True):
            inside, outside = float(anomaly_map[mask].mean()), float(anomaly_map[~mask].mean())
            _require(
                inside > outside,
                f"gives a map whose mean is {inside:.4g} on the painted defect and {outside:.4g} "
                "around it; it must be higher on the defect.",
            )


def _a_score_does_not_depend_on_its_batch(trial: _Trial) -> None:
    detector, _ = trial.fitted
    images = [*trial.fresh, *(image for image, _ in trial.defects)]
    together = trial.scores(detector, images)
    backwards = _reversed(trial.scores(detector, images[::-1]))
    single = [trial.scores(detector, [image]) for image in images]
    alone = Scores(
        np.concatenate([one.image for one in single]),
        None if together.maps is None else np.concatenate([one.maps for one in single]),
    )
    _require(_equal(together, alone), "scores images in a batch otherwise than one by one.")
    _require(_equal(together, backwards), "scores a batch otherwise when its order changes.")


def _threads_get_their_own_answers(trial: _Trial) -> None:
    detector, _ = trial.fitted
    images = [*trial.fresh, *(image for image, _ in trial.defects)]
    alone = [trial.scores(detector, [image]) for image in images]
    with ThreadPoolExecutor(_THREADS) as pool:
        together = list(pool.map(lambda image: trial.scores(detector, [image]), images * _ROUNDS))
    same = all(_equal(one, other) for one, other in zip(alone * _ROUNDS, together, strict=True))
    _require(same, f"scores images otherwise when {_THREADS} threads ask at a time.")


def _float_images_score_like_bytes(trial: _Trial) -> None:
    detector, _ = trial.fitted
    as_bytes = trial.scores(detector, trial.fresh.pixels)
    as_floats = trial.scores(detector, [image.astype(np.float32) for image in trial.fresh])
    _require(
        np.allclose(as_bytes.image, as_floats.image, rtol=1e-3),
        "scores float32 images of values 0 to 255 otherwise than the same images in uint8.",
    )


def _its_state_is_plain(trial: _Trial) -> None:
    state = trial.fitted[0].state()
    try:
        json.dumps(dict(state.numbers), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _Broken(f"has a state whose numbers are no plain JSON: {error}.") from None
    for name, array in state.arrays.items():
        plain = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
        _require(
            isinstance(name, str) and plain,
            f"has a state whose array {name!r} is no numeric array.",
        )
    for name, graph in state.graphs.items():
        _require(
            isinstance(name, str) and isinstance(graph, bytes),
            f"has a state whose graph {name!r} is no bytes.",
        )


def _its_state_rebuilds_it(trial: _Trial) -> None:
    detector, _ = trial.fitted
    state = detector.state()
    numbers = json.loads(json.dumps(dict(state.numbers)))
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    rebuilt = trial.rebuilt(State(numbers, arrays, dict(state.graphs)))
    images = [*trial.fresh, trial.defects[0][0]]
    _require(
        _equal(trial.scores(detector, images), trial.scores(rebuilt, images)),
        "scores otherwise after state and from_state; the scores must be equal bit for bit.",
    )
    _require(_same_state(state, rebuilt.state()), "has another state after state and from_state.")


def _the_same_seed_gives_the_same_state(trial: _Trial) -> None:
    again = trial.new()
    trial.fit(again, trial.fresh, seed=5)  # fitting anew must forget this
    trial.fit(again, trial.training)
    _require(
        _same_state(trial.fitted[0].state(), again.state()),
        "learns another state from the same images and seed, when fitted before to others.",
    )


def _out_of_fold_scores_fit_the_images(trial: _Trial) -> None:
    _, scores = trial.fitted
    if scores is None:
        return
    n = len(trial.training)
    _is_array(scores.image, "out-of-fold scores", np.float64, (n,))
    _require(np.isfinite(scores.image).any(), "gives no finite out-of-fold score.")
    if trial.cls.pixel_level:
        maps = scores.maps
        _require(
            maps is not None and maps.ndim == 3 and len(maps) == n,
            "is pixel_level and gives no out-of-fold maps [n, h, w] (or [n, 1, 1]: their maxima).",
        )


def _out_of_fold_scores_leave_groups_out(trial: _Trial) -> None:
    """Two copies of a painted image: a score that has seen the other one is low."""
    odd = trial.defects[0][0]
    normal = len(trial.training)
    images = TexturedImages(
        (*trial.training.pixels, odd, odd.copy()),
        np.append(trial.training.groups, [normal, normal]),
    )
    scores = trial.fit(trial.new(), images)
    if scores is None:
        return
    unseen, others = scores.image[normal:], scores.image[:normal]
    _require(
        np.nanmin(unseen) > np.nanmedian(others) if np.isfinite(unseen).any() else True,
        "gives a painted training image a low out-of-fold score when a copy of it is in its "
        "group; the whole group must be left out.",
    )


def _few_or_equal_images_do_no_harm(trial: _Trial) -> None:
    one, shape = trial.training.pixels[0], (*trial.size, 3)
    for what, pixels in (
        ("one image", (one,)),
        ("copies of one image", (one,) * 4),
        ("constant images", tuple(np.full(shape, v, np.uint8) for v in (128, 128, 128, 130))),
    ):
        detector = trial.new()
        try:
            trial.fit(detector, TexturedImages(pixels, np.arange(len(pixels), dtype=np.int64)))
            scores = trial.scores(detector, [one])
        except Exception as error:  # a detector may fail in any way
            raise _Broken(f"raised {type(error).__name__} on {what}: {error}") from error
        _require(np.isfinite(scores.image).all(), f"scores no finite number after {what}.")


def _reversed(scores: Scores) -> Scores:
    return Scores(scores.image[::-1], None if scores.maps is None else scores.maps[::-1])


def _equal(a: Scores, b: Scores) -> bool:
    if (a.maps is None) != (b.maps is None) or not np.array_equal(a.image, b.image):
        return False
    return a.maps is None or np.array_equal(a.maps, np.asarray(b.maps))


def _same_state(a: State, b: State) -> bool:
    def equal(x: NDArray[Any], y: NDArray[Any]) -> bool:
        return x.dtype == y.dtype and np.array_equal(x, y)

    def keys(m: Mapping[str, Any]) -> set[str]:
        return set(m)

    return (
        json.dumps(dict(a.numbers), sort_keys=True) == json.dumps(dict(b.numbers), sort_keys=True)
        and dict(a.graphs) == dict(b.graphs)
        and keys(a.arrays) == keys(b.arrays)
        and all(equal(array, b.arrays[name]) for name, array in a.arrays.items())
    )


_CHECKS: Final[tuple[Callable[[_Trial], None], ...]] = (
    _declares_what_it_is,
    _settings_refuse_unknown_names,
    _settings_refuse_values_out_of_range,
    _fit_and_score_change_no_image,
    _scores_have_their_shapes_and_types,
    _scores_are_finite,
    _a_higher_score_is_more_anomalous,
    _a_score_does_not_depend_on_its_batch,
    _threads_get_their_own_answers,
    _float_images_score_like_bytes,
    _its_state_is_plain,
    _its_state_rebuilds_it,
    _the_same_seed_gives_the_same_state,
    _out_of_fold_scores_fit_the_images,
    _out_of_fold_scores_leave_groups_out,
    _few_or_equal_images_do_no_harm,
)

"""The rules of the contract, one function each: it raises `BrokenRule` where a detector breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.check_trial import N_FRESH, BrokenRule, TexturedImages, Trial, require
from anomalens.detectors.contract import Detector, Scores, Settings, State
from anomalens.errors import SettingError

FAMILIES: Final = (
    "density", "one-class", "reconstruction", "self-supervised", "patches", "motion", "classifier",
)  # fmt: skip
_THREADS: Final = 4
_ROUNDS: Final = 3


def declares_what_it_is(trial: Trial) -> None:
    given = trial.given
    kind = given if isinstance(given, type) else type(given)
    require(issubclass(kind, Detector), "is no subclass of Detector.")
    detector = trial.unfitted
    for attribute, needed in (("name", str), ("family", str), ("pixel_level", bool)):
        value = getattr(detector, attribute)
        require(
            isinstance(value, needed) and value != "",
            f"has {attribute} = {value!r}; it needs a {needed.__name__}.",
        )
    require(detector.family in FAMILIES, f"has the family {detector.family!r}, none of {FAMILIES}.")
    settings_type: Any = detector.settings_type
    require(
        isinstance(settings_type, type)
        and issubclass(settings_type, Settings)
        and is_dataclass(settings_type)
        and settings_type.__dataclass_params__.frozen,  # type: ignore[attr-defined]
        f"has settings_type = {settings_type!r}; it needs a frozen dataclass derived from Settings.",
    )
    for f in fields(settings_type):
        require(f.metadata.get("help"), f"has a parameter {f.name!r} without a help text.")


def settings_refuse_unknown_names(trial: Trial) -> None:
    _refused(
        partial(trial.unfitted.settings_type.from_texts, {"no_such_parameter": "1"}),
        "takes a parameter that it does not have without a SettingError.",
    )


def settings_refuse_values_out_of_range(trial: Trial) -> None:
    kind = trial.unfitted.settings_type
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
    raise BrokenRule(problem)


def fit_and_score_change_no_image(trial: Trial) -> None:
    images = TexturedImages(tuple(p.copy() for p in trial.training), trial.training.groups.copy())
    detector = trial.new()
    trial.fit(detector, images)
    trial.scores(detector, images.pixels)
    same = all(np.array_equal(now, then) for now, then in zip(images, trial.training, strict=True))
    require(same, "changes the images that it is given.")
    require(np.array_equal(images.groups, trial.training.groups), "changes the groups in fit.")


def scores_have_their_shapes_and_types(trial: Trial) -> None:
    detector, _ = trial.fitted
    for n in (1, N_FRESH):
        scores = trial.scores(detector, trial.fresh.pixels[:n])
        _is_array(scores.image, "image scores", np.float64, (n,))
        if trial.unfitted.pixel_level:
            require(scores.maps is not None, "is pixel_level and gives no maps.")
            _is_array(scores.maps, "maps", np.float32, (n, *trial.size))
        else:
            require(scores.maps is None, "is not pixel_level and gives maps.")


def _is_array(value: object, what: str, dtype: type, shape: tuple[int, ...]) -> None:
    found = f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
    require(
        isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape,
        f"gives {what} as {found:.80}; {dtype.__name__} {list(shape)} is needed.",
    )


def scores_are_finite(trial: Trial) -> None:
    detector, _ = trial.fitted
    constant = np.zeros((*trial.size, 3), np.uint8)
    images = [*trial.training, *trial.fresh, trial.defects[0][0], constant, constant + 255]
    scores = trial.scores(detector, images)
    require(np.isfinite(scores.image).all(), "gives image scores that are not finite.")
    if scores.maps is not None:
        require(np.isfinite(scores.maps).all(), "gives maps that are not finite.")


def a_higher_score_is_more_anomalous(trial: Trial) -> None:
    detector, _ = trial.fitted
    normal = trial.scores(detector, trial.fresh.pixels)
    defect = trial.scores(detector, [image for image, _ in trial.defects])
    require(
        defect.image.min() > normal.image.max(),
        f"scores grossly painted images from {defect.image.min():.4g} and normal ones up to "
        f"{normal.image.max():.4g}; every painted one must be higher.",
    )
    if defect.maps is not None:
        for anomaly_map, (_, mask) in zip(defect.maps, trial.defects, strict=True):
            inside, outside = float(anomaly_map[mask].mean()), float(anomaly_map[~mask].mean())
            require(
                inside > outside,
                f"gives a map whose mean is {inside:.4g} on the painted defect and {outside:.4g} "
                "around it; it must be higher on the defect.",
            )


def a_score_does_not_depend_on_its_batch(trial: Trial) -> None:
    detector, _ = trial.fitted
    images = [*trial.fresh, *(image for image, _ in trial.defects)]
    together = trial.scores(detector, images)
    backwards = _reversed(trial.scores(detector, images[::-1]))
    single = [trial.scores(detector, [image]) for image in images]
    alone = Scores(
        np.concatenate([one.image for one in single]),
        None if together.maps is None else np.concatenate([one.maps for one in single]),
    )
    require(_equal(together, alone), "scores images in a batch otherwise than one by one.")
    require(_equal(together, backwards), "scores a batch otherwise when its order changes.")


def threads_get_their_own_answers(trial: Trial) -> None:
    detector, _ = trial.fitted
    images = [*trial.fresh, *(image for image, _ in trial.defects)]
    alone = [trial.scores(detector, [image]) for image in images]
    with ThreadPoolExecutor(_THREADS) as pool:
        together = list(pool.map(lambda image: trial.scores(detector, [image]), images * _ROUNDS))
    same = all(_equal(one, other) for one, other in zip(alone * _ROUNDS, together, strict=True))
    require(same, f"scores images otherwise when {_THREADS} threads ask at a time.")


def float_images_score_like_bytes(trial: Trial) -> None:
    detector, _ = trial.fitted
    as_bytes = trial.scores(detector, trial.fresh.pixels)
    as_floats = trial.scores(detector, [image.astype(np.float32) for image in trial.fresh])
    require(
        np.allclose(as_bytes.image, as_floats.image, rtol=1e-3),
        "scores float32 images of values 0 to 255 otherwise than the same images in uint8.",
    )


def its_state_is_plain(trial: Trial) -> None:
    state = trial.fitted[0].state()
    try:
        json.dumps(dict(state.numbers), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BrokenRule(f"has a state whose numbers are no plain JSON: {error}.") from None
    for name, array in state.arrays.items():
        plain = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
        require(
            isinstance(name, str) and plain,
            f"has a state whose array {name!r} is no numeric array.",
        )
    for name, graph in state.graphs.items():
        require(
            isinstance(name, str) and isinstance(graph, bytes),
            f"has a state whose graph {name!r} is no bytes.",
        )


def its_state_rebuilds_it(trial: Trial) -> None:
    detector, _ = trial.fitted
    state = detector.state()
    numbers = json.loads(json.dumps(dict(state.numbers)))
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    rebuilt = trial.rebuilt(State(numbers, arrays, dict(state.graphs)))
    images = [*trial.fresh, trial.defects[0][0]]
    require(
        _equal(trial.scores(detector, images), trial.scores(rebuilt, images)),
        "scores otherwise after state and from_state; the scores must be equal bit for bit.",
    )
    require(_same_state(state, rebuilt.state()), "has another state after state and from_state.")


def the_same_seed_gives_the_same_state(trial: Trial) -> None:
    again = trial.new()
    trial.fit(again, trial.fresh, seed=5)  # fitting anew must forget this
    trial.fit(again, trial.training)
    require(
        _same_state(trial.fitted[0].state(), again.state()),
        "learns another state from the same images and seed, when fitted before to others.",
    )


def out_of_fold_scores_fit_the_images(trial: Trial) -> None:
    _, scores = trial.fitted
    if scores is None:
        return
    n = len(trial.training)
    _is_array(scores.image, "out-of-fold scores", np.float64, (n,))
    require(np.isfinite(scores.image).any(), "gives no finite out-of-fold score.")
    if trial.unfitted.pixel_level:
        maps = scores.maps
        require(
            maps is not None and maps.ndim == 3 and len(maps) == n,
            "is pixel_level and gives no out-of-fold maps [n, h, w] (or [n, 1, 1]: their maxima).",
        )


def out_of_fold_scores_leave_groups_out(trial: Trial) -> None:
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
    require(
        np.nanmin(unseen) > np.nanmedian(others) if np.isfinite(unseen).any() else True,
        "gives a painted training image a low out-of-fold score when a copy of it is in its "
        "group; the whole group must be left out.",
    )


def few_or_equal_images_do_no_harm(trial: Trial) -> None:
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
        except SettingError as error:
            if detector.needs_classes:
                continue  # it cannot learn from one class, and says so
            raise BrokenRule(f"raised SettingError on {what}: {error}") from error
        except Exception as error:  # a detector may fail in any way
            raise BrokenRule(f"raised {type(error).__name__} on {what}: {error}") from error
        require(np.isfinite(scores.image).all(), f"scores no finite number after {what}.")


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


RULES: Final[tuple[Callable[[Trial], None], ...]] = (
    declares_what_it_is,
    settings_refuse_unknown_names,
    settings_refuse_values_out_of_range,
    fit_and_score_change_no_image,
    scores_have_their_shapes_and_types,
    scores_are_finite,
    a_higher_score_is_more_anomalous,
    a_score_does_not_depend_on_its_batch,
    threads_get_their_own_answers,
    float_images_score_like_bytes,
    its_state_is_plain,
    its_state_rebuilds_it,
    the_same_seed_gives_the_same_state,
    out_of_fold_scores_fit_the_images,
    out_of_fold_scores_leave_groups_out,
    few_or_equal_images_do_no_harm,
)

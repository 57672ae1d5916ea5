"""Every registered detector keeps the contract, and every check of the contract can fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from anomalens.detectors import Batch, Detector, Scores, State, detector_names, load_detector
from anomalens.detectors.checks import check_detector, yield_checks
from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector
from anomalens.errors import SettingError


def every_check() -> Iterator[Any]:
    for name in detector_names():
        if issubclass(load_detector(name), LearnedDetector):
            continue  # at their defaults they train for minutes; each has its own test with few epochs
        for check in yield_checks(load_detector(name)):
            yield pytest.param(check, id=f"{name}-{check}")


@pytest.mark.parametrize("check", list(every_check()))
def test_registered_detectors_keep_the_contract(check: Any) -> None:
    check()


@dataclass(frozen=True)
class HonestSettings(Settings):
    floor: float = parameter(1.0, "smallest standard deviation", limits=(0.1, 10.0))
    window: int = parameter(3, "side of the window", limits=(1, 9))
    mode: str = parameter("mean", "how")
    layers: tuple[str, ...] = parameter(("a",), "which")


class Honest(Detector):
    """Distance of the local standard deviation from its mean over the normal images."""

    name: ClassVar[str] = "honest"
    family: ClassVar[str] = "density"
    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = HonestSettings

    def fit(self, images: Any, job: Any) -> Any:
        stack = np.stack([self.feature(image) for image in images])
        self.mean_, self.n_ = stack.mean(0), len(stack)
        answer = np.empty(len(stack))
        maxima = np.empty((len(stack), 1, 1), np.float32)
        for i, group in enumerate(images.groups):
            rest = stack[images.groups != group]
            other = np.abs(stack[i] - (rest if len(rest) else stack).mean(0))
            answer[i] = maxima[i] = other.max()
        return Scores(answer, maxima)

    def score(self, batch: Batch) -> Scores:
        maps = np.stack([np.abs(self.feature(image) - self.mean_) for image in batch.images])
        return Scores(maps.max((1, 2)).astype(np.float64), maps.astype(np.float32))

    @staticmethod
    def feature(image: Any) -> Any:
        return np.abs(image.astype(np.float64).max(2) - image.astype(np.float64).min(2))

    def state(self) -> State:
        return State({"n": self.n_}, {"mean": self.mean_.copy()})

    @classmethod
    def from_state(cls, state: State, *, size: Any, runtime: Any) -> Any:
        detector = cls()
        detector.mean_, detector.n_ = state.arrays["mean"], state.numbers["n"]
        return detector


def test_an_honest_detector_passes() -> None:
    check_detector(Honest)


class ImageLevel(Honest):
    pixel_level = False

    def fit(self, images: Any, job: Any) -> None:
        super().fit(images, job)

    def score(self, batch: Batch) -> Scores:
        return Scores(super().score(batch).image)


def test_a_detector_without_maps_and_out_of_fold_scores_passes() -> None:
    check_detector(ImageLevel)


class NoName(Honest):
    name = ""


class OddFamily(Honest):
    family = "guesswork"


class PixelLevelAsText(Honest):
    pixel_level = "yes"


class OpenSettings(Honest):
    settings_type = dict


@dataclass(frozen=True)
class Mute(Settings):
    floor: float = 1.0


class NoHelp(Honest):
    settings_type = Mute


@dataclass(frozen=True)
class Lenient(HonestSettings):
    @classmethod
    def from_texts(cls, given: Any) -> Any:
        return cls()


class TakesAnyName(Honest):
    settings_type = Lenient


@dataclass(frozen=True)
class Boundless(HonestSettings):
    def __post_init__(self) -> None:
        pass


class TakesAnyValue(Honest):
    settings_type = Boundless


class PaintsOnTraining(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        scores = super().fit(images, job)
        for image in images:
            image[0, 0] = 0
        return scores


class PaintsOnScored(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        for image in batch.images:
            image[0, 0] = 0
        return answer


class Renumbers(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        scores = super().fit(images, job)
        images.groups[:] = 0
        return scores


class SingleScores(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(answer.image.astype(np.float32), answer.maps)


class DoubleMaps(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(answer.image, answer.maps.astype(np.float64))


class TurnedMaps(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(answer.image, answer.maps.transpose(0, 2, 1))


class MapsOnlySaid(Honest):
    def score(self, batch: Batch) -> Scores:
        return Scores(super().score(batch).image)


class MapsUnsaid(ImageLevel):
    def score(self, batch: Batch) -> Scores:
        return Honest.score(self, batch)


class OneScoreForAll(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(answer.image[:1], answer.maps)


class NotANumberOnBlack(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        black = np.array([not image.any() for image in batch.images])
        return Scores(np.where(black, np.nan, answer.image), answer.maps)


class InfiniteMap(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        answer.maps[:, 0, 0] = np.inf
        return answer


class UpsideDown(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(-answer.image, answer.maps)


class MapUpsideDown(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(answer.image, -answer.maps)


class RelativeToItsBatch(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        return Scores(answer.image - answer.image.mean(), answer.maps)


class CarriesOver(Honest):
    def score(self, batch: Batch) -> Scores:
        answer = super().score(batch)
        drift = np.arange(len(batch)) * 1e-9 if len(batch) > 1 else 0
        return Scores(answer.image + drift, answer.maps)


class OneRoomForAll(Honest):
    def score(self, batch: Batch) -> Scores:
        self.waiting = super().score(batch)
        time.sleep(0.002)
        return self.waiting


class ScalesFloats(Honest):
    @staticmethod
    def feature(image: Any) -> Any:
        if image.dtype == np.float32:  # takes them for values from 0 to 1
            image = image * 255
        return Honest.feature(image)


class ArrayAmongNumbers(Honest):
    def state(self) -> State:
        return State({"n": self.n_, "mean": self.mean_}, {"mean": self.mean_})


class NotANumberInItsState(Honest):
    def state(self) -> State:
        return State({"n": self.n_, "level": float("nan")}, {"mean": self.mean_})


class ObjectArray(Honest):
    def state(self) -> State:
        return State({"n": self.n_}, {"mean": self.mean_, "more": np.array([{}, []], object)})


class OpenedGraph(Honest):
    def state(self) -> State:
        return State({"n": self.n_}, {"mean": self.mean_}, {"network": object()})


class Forgets(Honest):
    def state(self) -> State:
        return State({"n": self.n_}, {"mean": self.mean_.astype(np.float32)})


class KeysThatAreNoTexts(Honest):
    def state(self) -> State:
        return State({"n": {1: self.n_}}, {"mean": self.mean_})

    @classmethod
    def from_state(cls, state: State, **options: Any) -> Any:
        plain = State({"n": state.numbers["n"][1]}, state.arrays)
        return super().from_state(plain, **options)


class StateGrows(Honest):
    @classmethod
    def from_state(cls, state: State, **options: Any) -> Any:
        detector = super().from_state(state, **options)
        detector.n_ += 1
        return detector


class Unseeded(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        scores = super().fit(images, job)
        self.mean_ = self.mean_ + np.random.default_rng().normal(0, 1e-6)
        return scores


class Remembers(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        before = getattr(self, "n_", 0)
        scores = super().fit(images, job)
        self.n_ += before
        return scores


class TooFewOutOfFold(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        scores = super().fit(images, job)
        return Scores(scores.image[:-1], scores.maps[:-1])


class NoOutOfFoldMaps(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        return Scores(super().fit(images, job).image)


class OnlyNotANumberOutOfFold(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        scores = super().fit(images, job)
        return Scores(scores.image * np.nan, scores.maps)


class SeesItsGroup(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        super().fit(images, job)
        stack = [self.feature(image) for image in images]
        nearest = [
            min(np.abs(a - b).max() for j, b in enumerate(stack) if j != i or len(stack) == 1)
            for i, a in enumerate(stack)
        ]
        return Scores(np.array(nearest), np.zeros((len(stack), 1, 1), np.float32))


class NeedsTwo(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        if len(images) < 2:
            raise ZeroDivisionError("variance of one image")
        return super().fit(images, job)


class NeedsContrast(Honest):
    def fit(self, images: Any, job: Any) -> Any:
        scores = super().fit(images, job)
        with np.errstate(all="ignore"):
            self.mean_ = self.mean_ / (self.mean_.std() > 0)
        return scores


BROKEN = [
    ("declares_what_it_is", NoName, "name = ''"),
    ("declares_what_it_is", OddFamily, "guesswork"),
    ("declares_what_it_is", PixelLevelAsText, "pixel_level"),
    ("declares_what_it_is", OpenSettings, "frozen dataclass"),
    ("declares_what_it_is", NoHelp, "help text"),
    ("declares_what_it_is", Settings, "no subclass"),
    ("settings_refuse_unknown_names", TakesAnyName, "a parameter that it does not have"),
    ("settings_refuse_values_out_of_range", TakesAnyValue, "floor = -0.9"),
    ("fit_and_score_change_no_image", PaintsOnTraining, "changes the images"),
    ("fit_and_score_change_no_image", PaintsOnScored, "changes the images"),
    ("fit_and_score_change_no_image", Renumbers, "changes the groups"),
    ("scores_have_their_shapes_and_types", SingleScores, "float64"),
    ("scores_have_their_shapes_and_types", DoubleMaps, "float32"),
    ("scores_have_their_shapes_and_types", TurnedMaps, "float32"),
    ("scores_have_their_shapes_and_types", MapsOnlySaid, "gives no maps"),
    ("scores_have_their_shapes_and_types", MapsUnsaid, "gives maps"),
    ("scores_have_their_shapes_and_types", OneScoreForAll, "float64"),
    ("scores_are_finite", NotANumberOnBlack, "image scores"),
    ("scores_are_finite", InfiniteMap, "maps"),
    ("a_higher_score_is_more_anomalous", UpsideDown, "every painted one must be higher"),
    ("a_higher_score_is_more_anomalous", MapUpsideDown, "on the painted defect"),
    ("a_score_does_not_depend_on_its_batch", RelativeToItsBatch, "one by one"),
    ("a_score_does_not_depend_on_its_batch", CarriesOver, "one by one"),
    ("threads_get_their_own_answers", OneRoomForAll, "4 threads"),
    ("float_images_score_like_bytes", ScalesFloats, "float32"),
    ("its_state_is_plain", ArrayAmongNumbers, "no plain JSON"),
    ("its_state_is_plain", NotANumberInItsState, "no plain JSON"),
    ("its_state_is_plain", ObjectArray, "'more'"),
    ("its_state_is_plain", OpenedGraph, "'network'"),
    ("its_state_rebuilds_it", Forgets, "bit for bit"),
    ("its_state_rebuilds_it", KeysThatAreNoTexts, "KeyError"),
    ("its_state_rebuilds_it", StateGrows, "another state"),
    ("the_same_seed_gives_the_same_state", Unseeded, "another state"),
    ("the_same_seed_gives_the_same_state", Remembers, "another state"),
    ("out_of_fold_scores_fit_the_images", TooFewOutOfFold, "out-of-fold scores"),
    ("out_of_fold_scores_fit_the_images", NoOutOfFoldMaps, "no out-of-fold maps"),
    ("out_of_fold_scores_fit_the_images", OnlyNotANumberOutOfFold, "no finite"),
    ("out_of_fold_scores_leave_groups_out", SeesItsGroup, "whole group"),
    ("few_or_equal_images_do_no_harm", NeedsTwo, "on one image"),
    ("few_or_equal_images_do_no_harm", NeedsContrast, "after constant images"),
]


@pytest.mark.parametrize(
    ("name", "cls", "problem"), BROKEN, ids=[f"{name}-{cls.__name__}" for name, cls, _ in BROKEN]
)
def test_a_broken_detector_fails_its_check(name: str, cls: Any, problem: str) -> None:
    (check,) = [check for check in yield_checks(cls) if check.name == name]
    with pytest.raises(AssertionError, match=f"^{name}: {cls.__name__} ") as caught:
        check()
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_check_is_proven_to_fail() -> None:
    assert {name for name, _, _ in BROKEN} == {check.name for check in yield_checks(Honest)}


def test_check_detector_stops_at_the_first_broken_rule() -> None:
    with pytest.raises(AssertionError, match=r"^scores_are_finite: NotANumberOnBlack "):
        check_detector(NotANumberOnBlack)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("floor", None), ("floor", "high"), ("floor", True), ("window", 2.5), ("window", None),
        ("mode", 3), ("layers", 4), ("layers", (1, 2)), ("floor", float("inf")),
    ],
)  # fmt: skip
def test_settings_refuse_values_of_another_type(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        HonestSettings(**{name: value})


def test_settings_take_whole_numbers_and_lists_where_they_mean_the_same() -> None:
    assert HonestSettings(floor=2, layers=["a", "b"]) == HonestSettings(floor=2.0, layers=("a", "b"))


def test_settings_are_read_from_texts() -> None:
    given = {"floor": "0.5", "window": "5", "mode": "x", "layers": "a, b"}
    assert HonestSettings.from_texts(given) == HonestSettings(0.5, 5, "x", ("a", "b"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"windw": "3"}, "window"),
        ({"window": "three"}, "window"),
        ({"window": "3.5"}, "window"),
        ({"floor": ""}, "floor"),
        ({"floor": "nan"}, "floor"),
    ],
)
def test_unreadable_texts_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        HonestSettings.from_texts(given)


def test_an_unknown_detector_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingError, match="did you mean 'patchcore'"):
        load_detector("pathcore")
    with pytest.raises(SettingError, match="no class of its own; make it with DetectorSpec"):
        load_detector("combine:knn,gaussian")


def test_a_class_without_from_state_is_told_so() -> None:
    class Forgetful(Honest):
        from_state = Detector.__dict__["from_state"]

    with pytest.raises(AssertionError, match="Forgetful has no from_state"):
        check_detector(Forgetful)

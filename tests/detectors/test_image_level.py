"""Image-level detectors: the contract on every kind of features, files, explanations and bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors import Batch, load_detector
from anomalens.detectors.checks import TexturedImages, painted, yield_checks
from anomalens.detectors.features.cache import FeatureCache
from anomalens.detectors.image_level import ImageLevelDetector
from anomalens.errors import BackboneError, SettingError
from anomalens.inspector import Inspector
from anomalens.job import Job

NAMES = ("gaussian", "knn", "kde", "gmm", "pca", "ocsvm", "iforest", "lof")
QUICK = {"iforest": {"n_estimators": "100"}}


def detector(name: str, **parameters: str) -> Any:
    kind = load_detector(name)
    return kind(kind.settings_type.from_texts({**QUICK.get(name, {}), **parameters}))


def every_check() -> Iterator[Any]:
    """Defaults are checked with all registered detectors; here the other features and choices."""
    chosen = [(name, {"features": "pixels"}) for name in NAMES]
    chosen += [(name, {"features": "texture"}) for name in ("gaussian", "knn")]
    chosen += [
        ("knn", {"metric": "cosine", "distance": "kth"}),
        ("gaussian", {"shrinkage": "oas", "components": "5"}),
        ("gaussian", {"shrinkage": "none", "statistics": "mean,std,gem", "taps": "stride8"}),
        ("gaussian", {"mirror": "yes", "features": "pixels"}),
        ("kde", {"bandwidth": "20", "scaling": "standardise"}),
        ("gmm", {"n_components": "2", "features": "pixels", "colour": "no"}),
        ("knn", {"features": "latent", "latent": "8", "latent_epochs": "2"}),
    ]
    for name, parameters in chosen:
        made = detector(name, **parameters)
        for check in yield_checks(type(made), settings=made.settings):
            if "latent" in parameters.values() and str(check) == "a_higher_score_is_more_anomalous":
                continue  # an autoencoder of six images tells nothing; below it has more
            label = "-".join([name, *parameters.values(), str(check)])
            yield pytest.param(check, id=label.replace(",", "+"))


@pytest.mark.parametrize("check", list(every_check()))
def test_other_features_and_choices_keep_the_contract(check: Any) -> None:
    check()


def mnist(folder: Path, digit: int, n_train: int, n_test: int) -> tuple[Any, Any, Any]:
    """Training images of one digit, test images of all, and which of those are other digits."""
    (file,) = folder.glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == digit][:n_train]
        return train, data["x_test"][:n_test], data["y_test"][:n_test] != digit


def auroc(scores: np.ndarray, odd: np.ndarray) -> float:
    return float((scores[odd][:, None] > scores[~odd][None]).mean())


@pytest.mark.filterwarnings("ignore:150 images form")  # thin ones look alike
@pytest.mark.parametrize("name", NAMES)
def test_other_digits_score_higher_and_a_saved_model_scores_the_same(
    name: str, real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    train, test, odd = mnist(real_set("mnist"), 1, 150, 150)
    parameters = QUICK.get(name, {})
    fitted = Inspector.fit(
        train, detector=name, size=32, parameters=parameters, policy="false-alarm-rate=0.1"
    )
    assert fitted.calibration.method == "out-of-fold"
    assert np.isfinite(fitted.calibration.scores).sum() == 150
    scores = np.array([finding.score for finding in fitted.check(test)])
    assert auroc(scores, odd) > 0.95
    flagged = np.array([finding.anomalous for finding in fitted.check(test)])
    assert flagged[~odd].mean() < 0.4
    loaded = Inspector.load(fitted.save(tmp_path / "digits.anomalens"))
    np.testing.assert_array_equal(scores, [finding.score for finding in loaded.check(test)])


@pytest.mark.parametrize(("features", "floor"), [("pretrained", 0.8), ("pixels", 0.6), ("texture", 0.7)])
def test_parasites_are_found_with_every_kind_of_features(
    features: str, floor: float, real_set: Callable[[str], Path]
) -> None:
    (file,) = real_set("malaria_cells").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train, test, odd = data["x_train"][:200], data["x_test"][::8], data["y_test"][::8] == 1
    fitted = Inspector.fit(train, detector="gaussian", size=64, parameters={"features": features})
    assert auroc(np.array([finding.score for finding in fitted.check(test)]), odd) > floor


def test_codes_are_of_images_that_their_autoencoder_has_not_seen(real_set: Callable[[str], Path]) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    train, test, odd = mnist(real_set("mnist"), 0, 160, 150)
    parameters = {"features": "latent", "latent": 16, "latent_epochs": 15, "scaling": "none"}
    model = Inspector.fit(
        train, detector="knn", size=32, parameters=parameters, policy="false-alarm-rate=0.1"
    )
    known = len(model.detector.ids_)  # type: ignore[attr-defined]
    assert 0.3 * len(train) < known < 0.7 * len(train)
    assert len(model.calibration.scores) == known
    assert auroc(np.array([finding.score for finding in model.check(test)]), odd) > 0.9


def test_of_very_few_images_all_train_the_autoencoder_and_the_caller_leaves_some_out() -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    few = TexturedImages.make(4, (64, 96), seed=0)
    made = detector("knn", features="latent", latent_epochs="1")
    assert made.fit(few, Job(Runtime())) is None
    assert len(made.ids_) == 4


@pytest.fixture(scope="module")
def images() -> TexturedImages:
    return TexturedImages.make(12, (64, 96), seed=0)


def test_the_nearest_normal_images_are_named(images: TexturedImages) -> None:
    knn = detector("knn", features="pixels")
    knn.fit(images, Job(Runtime()))
    first, second, _ = knn.score(Batch([images.pixels[4]], ["x"])).explain(0).nearest
    assert first.image == "image-4"
    assert first.distance == pytest.approx(0, abs=1e-5)
    assert second.distance > first.distance
    state = knn.state()
    loaded = type(knn).from_state(state, size=(64, 96), runtime=Runtime())
    assert loaded.score(Batch([images.pixels[7]], ["x"])).explain(0).nearest[0].image == "image-7"


@pytest.mark.parametrize(
    ("features", "expected"), [("texture", {"colour"}), ("pretrained", {"stride4 mean", "stride8 mean"})]
)
def test_the_odd_group_of_features_contributes_most(
    features: str, expected: set[str], images: TexturedImages
) -> None:
    found: ImageLevelDetector = detector("gaussian", features=features)
    found.fit(images, Job(Runtime()))
    swapped = images.pixels[0][:, :, ::-1].copy()  # red for blue; its brightness changes little
    parts = found.score(Batch([swapped], ["swapped"])).explain(0).parts
    assert {part.name for part in parts} == {group.name for group in found.extractor_.groups}
    assert [p.contribution for p in parts] == sorted((p.contribution for p in parts), reverse=True)
    if features == "texture":
        assert parts[0].name in expected
    assert parts[0].contribution > 0


def test_of_the_coarsest_layer_only_the_means_are_taken(images: TexturedImages) -> None:
    found = detector("pca")
    found.fit(images, Job(Runtime()))
    names = [group.name for group in found.extractor_.groups]
    assert names[-2:] == ["stride16 std", "stride32 mean"]
    assert len(found.space_.mean) == found.extractor_.groups[-1].stop == 2 * (24 + 40 + 112) + 320


def test_a_small_budget_learns_from_a_random_part() -> None:
    many = TexturedImages.make(30, (128, 128), seed=0)
    found = detector("knn", features="pixels", pixel_size="128", memory_mb="16")
    scores = found.fit(many, Job(Runtime())).image
    assert len(found.ids_) == len(found.head_.ids) == 20  # four copies of 128 · 128 · 3 float32
    assert np.isfinite(scores).sum() == 20
    assert found.ids_ == sorted(found.ids_, key=lambda name: int(name.split("-")[1]))


def test_of_many_images_some_are_scored_out_of_fold() -> None:
    pixels = tuple(np.random.default_rng(0).integers(0, 256, (2100, 8, 8, 3), np.uint8))
    groups = np.arange(2100) // 3
    found = detector("knn", features="pixels", pixel_size="2")
    scored = np.isfinite(found.fit(TexturedImages(pixels, groups), Job(Runtime())).image)
    assert scored.sum() == 1998  # whole groups, at most 2000 images
    assert set(np.bincount(groups[scored])) == {0, 3}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        *((name, "pixels") for name in NAMES),
        ("gaussian", "pretrained"),
        ("lof", "pretrained"),
        ("knn", "texture"),
    ],
)
def test_features_that_do_not_vary_do_no_harm(name: str, features: str) -> None:
    flat = TexturedImages((np.full((32, 32, 3), 90, np.uint8),) * 9, np.arange(9))
    found = detector(name, features=features)
    found.fit(flat, Job(Runtime()))
    odd, _ = painted(flat.pixels[0])
    normal, strange = found.score(Batch([flat.pixels[0], odd], ["a", "b"])).image
    assert np.isfinite([normal, strange]).all()
    assert strange > normal or name == "iforest"  # nothing can be cut where all are equal


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("knn", {"neighbours": "3"}, "did you mean 'n_neighbors'"),
        ("knn", {"metric": "euclid"}, "did you mean 'euclidean'"),
        ("knn", {"distance": "max"}, "no distance named 'max'"),
        ("knn", {"n_neighbors": "0"}, "from 1 to 1000"),
        ("gaussian", {"shrinkage": "ledoit"}, "did you mean 'ledoit-wolf'"),
        ("gaussian", {"features": "pretraned"}, "did you mean 'pretrained'"),
        ("gaussian", {"scaling": "white"}, "did you mean 'whiten'"),
        ("ocsvm", {"nu": "1.5"}, "from 0.001 to 0.9"),
        ("pca", {"variance": "1"}, "from 0.01 to 0.9999"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(
    name: str, parameters: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        detector(name, **parameters)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"statistics": "median"}, "no statistic named 'median'"),
        ({"taps": "stride3"}, "tap of efficientnet-lite0 named 'stride3'"),
        ({"backbone": "resnet50"}, "no backbone named 'resnet50'"),
    ],
)
def test_what_the_backbone_does_not_have_is_refused(
    parameters: dict[str, str], words: str, images: TexturedImages
) -> None:
    with pytest.raises(SettingError, match=words):
        detector("gaussian", **parameters).fit(images, Job(Runtime()))


def test_nothing_to_learn_from_is_refused() -> None:
    class NoImages(TexturedImages):
        size = (32, 32)  # type: ignore[assignment]

    with pytest.raises(SettingError, match="at least one normal image"):
        detector("gaussian").fit(NoImages((), np.zeros(0, np.int64)), Job(Runtime()))


def test_images_too_small_for_texture_are_refused() -> None:
    tiny = TexturedImages.make(3, (12, 12), seed=0)
    with pytest.raises(SettingError, match="at least 16 pixels"):
        detector("gaussian", features="texture").fit(tiny, Job(Runtime()))


@pytest.mark.parametrize("features", ["pixels", "texture", "pretrained"])
def test_a_mirror_image_scores_the_same_where_asked(features: str, images: TexturedImages) -> None:
    found = detector("gaussian", features=features, mirror="yes")
    found.fit(images, Job(Runtime()))
    batch = Batch([images.pixels[0], np.ascontiguousarray(images.pixels[0][:, ::-1])], ["a", "b"])
    one, other = found.score(batch).image
    assert one == pytest.approx(other, rel=1e-4)
    loaded = type(found).from_state(found.state(), size=(64, 96), runtime=Runtime())
    np.testing.assert_array_equal(loaded.score(batch).image, [one, other])


class Faulty:
    """Features that are no numbers, as a broken network gives them."""

    groups = ()

    def __call__(self, image: Any) -> Any:
        return np.array([1.0, np.nan], np.float32)


def test_features_that_are_no_numbers_are_refused(images: TexturedImages) -> None:
    found = detector("gaussian", features="pixels")
    found.fit(images, Job(Runtime()))
    found.extractor_ = Faulty()
    with pytest.raises(BackboneError, match="no numbers"):
        found.score(Batch([images.pixels[0]], ["a"]))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_arrays_are_refused(name: str, images: TexturedImages) -> None:
    found = detector(name, features="pixels", pixel_size="8")
    found.fit(images, Job(Runtime()))
    state = found.state()
    for key, array in state.arrays.items():
        if array.size < 2:
            continue
        cut = {**state.arrays, key: np.ascontiguousarray(array[: len(array) // 2])}
        if key in ("head_roots", "head_bank") and name in ("iforest", "knn", "kde"):
            continue  # fewer trees or images are a smaller model
        with pytest.raises((ValueError, IndexError)):
            type(found).from_state(
                type(state)(state.numbers, cut, state.graphs), size=(64, 96), runtime=Runtime()
            )


class Counting:
    """An extractor that counts how often it is asked."""

    groups = ()

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: Any) -> Any:
        self.asked += 1
        return image.mean((0, 1)).astype(np.float32)

    def numbers(self) -> dict[str, Any]:
        return {"kind": "counting"}

    def graphs(self) -> dict[str, bytes]:
        return {}


def test_the_cache_computes_once_and_tells_settings_and_images_apart(
    tmp_path: Path, images: TexturedImages
) -> None:
    first, second = Counting(), Counting()
    for counting in (first, second, first):
        cached = FeatureCache(tmp_path).through(counting, runtime=Runtime())
        for image in images.pixels[:3]:
            np.testing.assert_array_equal(cached(image), image.mean((0, 1)).astype(np.float32))
    assert (first.asked, second.asked) == (3, 0)
    cached(images.pixels[0].astype(np.float32))
    assert first.asked == 4
    other = FeatureCache(tmp_path).through(first, runtime=Runtime(threads=2))
    other(images.pixels[0])
    assert first.asked == 5


def test_a_damaged_or_full_cache_does_no_harm(tmp_path: Path, images: TexturedImages) -> None:
    counting = Counting()
    cached = FeatureCache(tmp_path).through(counting, runtime=Runtime())
    cached(images.pixels[0])
    (file,) = tmp_path.glob("*/*.npy")
    np.testing.assert_array_equal(np.load(file), cached(images.pixels[0]))
    whole = file.read_bytes()
    for asked, damaged in enumerate((whole[:-3], whole[:40], b"", whole.replace(b"<f4", b"<i4")), start=2):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(cached(images.pixels[0]), images.pixels[0].mean((0, 1)).astype("f4"))
        assert counting.asked == asked
    full = FeatureCache(tmp_path / "full", max_bytes=10).through(counting, runtime=Runtime())
    full(images.pixels[0])
    full(images.pixels[0])
    assert counting.asked == 7
    assert not (tmp_path / "full").exists()


def test_a_detector_scores_the_same_with_a_cache(tmp_path: Path, images: TexturedImages) -> None:
    plain = detector("gaussian")
    plain.fit(images, Job(Runtime()))
    expected = plain.score(Batch(images.pixels, images.ids)).image
    for _ in range(2):
        found = detector("gaussian")
        found.fit(images, Job(Runtime(), features=tmp_path))
        np.testing.assert_array_equal(found.score(Batch(images.pixels, images.ids)).image, expected)
    assert len(list(tmp_path.glob("*/*.npy"))) == len(images)

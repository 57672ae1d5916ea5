"""SPADE, dictionary and texture-patches: on real images, from a file, their formulas, and bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.backbones.runtimes import Runtime
from anomalens.datasets import load_tasks
from anomalens.detectors import Batch, Detector, State, load_detector
from anomalens.detectors.checks import TexturedImages, yield_checks
from anomalens.detectors.patches.detector import LeftOut
from anomalens.detectors.patches.smooth_maximum import SmoothMaximum
from anomalens.detectors.patches.texems import Texems
from anomalens.detectors.patches.texture_features import NAMES as FEATURES
from anomalens.detectors.patches.texture_features import PatchTexture, opponent
from anomalens.detectors.patches.views.maps import MapMaker
from anomalens.detectors.patches.views.words import Words, k_means, normalised
from anomalens.detectors.patches.window_network import window_network
from anomalens.detectors.patches.windows import Windows
from anomalens.errors import AnomalensError, BackboneError, SettingError
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.inspector import FitOptions, Inspector
from anomalens.job import Job

NAMES = ("spade", "dictionary", "texture-patches")
SIZE = (64, 96)
RUNTIME = Runtime()


def detector(name: str, **parameters: str) -> Any:
    kind = load_detector(name)
    return kind(kind.settings_type.from_texts(parameters))


def scores(fitted: Detector, images: TexturedImages) -> Any:
    return fitted.score(Batch(list(images), images.ids))


@pytest.fixture(scope="module")
def images() -> TexturedImages:
    return TexturedImages.make(8, SIZE, seed=0)


def every_check() -> Iterator[Any]:
    """Defaults are checked with all registered detectors; here other choices."""
    chosen = [
        ("spade", {"image_score": "map", "gallery_mb": "1", "dimensions": "8", "n_references": "2"}),
        ("dictionary", {"side": "20", "step": "7", "n_words": "5", "n_nearest": "9", "taps": "stride8"}),
        ("texture-patches", {"n_scales": "6", "side": "5", "step": "3", "n_texems": "2", "sigma": "0"}),
    ]
    for name, parameters in chosen:
        made = detector(name, **parameters)
        for check in yield_checks(type(made), settings=made.settings):
            yield pytest.param(check, id=f"{name}-{check}")


@pytest.mark.parametrize("check", list(every_check()))
def test_other_choices_keep_the_contract(check: Any) -> None:
    check()


@pytest.mark.parametrize("name", NAMES)
def test_impurities_in_paper_are_found_and_located(name: str, real_set: Callable[[str], Path]) -> None:
    (task,) = load_tasks(real_set("paper_piped") / "fvn01_tl")
    card = evaluate_task(task, FitOptions(detector=name, size=128, runtime="onnxruntime", threads=1))
    assert card.error is None
    assert card.image_auroc is not None and card.image_auroc > 0.9
    assert card.aupro is not None and card.aupro > 0.5


@pytest.mark.filterwarnings("ignore:32 images form")
@pytest.mark.filterwarnings("ignore:A false-alarm rate")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_answers_as_the_model_that_wrote_it(
    name: str, real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_set("paper_piped") / "fvn01_tl"
    train, test = str(folder / "train" / "good"), str(folder / "test" / "impurity")
    fitted = Inspector.fit(train, detector=name, size=64, runtime="onnxruntime", threads=1)
    assert fitted.calibration.method == "out-of-fold"
    assert np.isfinite(fitted.calibration.scores).sum() == 32
    loaded = Inspector.load(fitted.save(tmp_path / "paper.anomalens"))
    for one, other in zip(fitted.check(test), loaded.check(test), strict=True):
        assert one.score == other.score
        np.testing.assert_array_equal(one.map, other.map)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("spade", {"image_score": "maximum"}, "retrieval, map"),
        ("spade", {"taps": "stride8,stride8"}, "twice"),
        ("spade", {"taps": "stride9"}, "stride8"),
        ("dictionary", {"side": "16", "step": "32"}, "step that is not larger"),
        ("dictionary", {"pooled_taps": "stride31"}, "stride32"),
        ("texture-patches", {"side": "4", "step": "5"}, "step that is not larger"),
        ("texture-patches", {"n_scales": "0"}, "n_scales"),
    ],
)
def test_bad_parameters_are_refused_with_a_sentence(
    name: str, parameters: dict[str, str], words: str, images: TexturedImages
) -> None:
    with pytest.raises(AnomalensError, match=words):
        detector(name, **parameters).fit(images, Job(RUNTIME))


@pytest.mark.parametrize("name", NAMES)
def test_no_images_are_refused(name: str) -> None:
    class Nothing:
        ids: tuple[str, ...] = ()
        groups = np.zeros(0, np.int64)
        size = SIZE

        def __len__(self) -> int:
            return 0

        def __iter__(self) -> Iterator[Any]:
            return iter(())

    with pytest.raises(SettingError, match="at least one normal image"):
        detector(name).fit(Nothing(), Job(RUNTIME))


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("spade", {"image_score": "guess"}),
        ("spade", {"fusion": {"middle": [0, 0], "deviation": [1, 0]}}),
        ("dictionary", {"fusion": {"middle": [0, 0], "deviation": [1]}}),
        ("texture-patches", {"n_scales": 1, "side": 3}),
        ("texture-patches", {"n_scales": 5}),
    ],
)
def test_a_damaged_state_is_refused_or_scores(
    name: str, numbers: dict[str, Any], images: TexturedImages
) -> None:
    fitted = detector(name)
    fitted.fit(images, Job(RUNTIME))
    state = fitted.state()
    changed = State({**state.numbers, **numbers}, state.arrays, state.graphs)
    if name == "texture-patches" and numbers["n_scales"] == 1:  # other patches, still texems of ten features
        rebuilt = type(fitted).from_state(changed, size=SIZE, runtime=RUNTIME)
        assert np.isfinite(scores(rebuilt, images).image).all()
        return
    with pytest.raises(ValueError):
        type(fitted).from_state(changed, size=SIZE, runtime=RUNTIME)


def test_texems_that_are_no_numbers_are_refused(images: TexturedImages) -> None:
    fitted = detector("texture-patches")
    fitted.fit(images, Job(RUNTIME))
    state = fitted.state()
    arrays = {**state.arrays, "scale0_means": state.arrays["scale0_means"] * np.nan}
    with pytest.raises(ValueError, match="finite"):
        type(fitted).from_state(State(state.numbers, arrays), size=SIZE, runtime=RUNTIME)


@pytest.mark.parametrize("cells", [(64, 96), (16, 24), (9, 11)])
def test_a_window_s_mean_is_that_of_its_pixels(cells: tuple[int, int]) -> None:
    windows = Windows.inside(SIZE, 20, 7)
    values = np.random.default_rng(0).normal(size=cells).astype(np.float32)
    rows, columns = windows.pooling(cells)
    fine = 4  # samples a pixel, so that windows between pixels are met as well
    y = (np.arange(SIZE[0] * fine) + 0.5) / fine
    x = (np.arange(SIZE[1] * fine) + 0.5) / fine
    enlarged = values[(y * cells[0] / SIZE[0]).astype(int)][:, (x * cells[1] / SIZE[1]).astype(int)]
    expected = np.empty(windows.grid)
    for i, top in enumerate(windows.top):
        for j, left in enumerate(windows.left):
            inside = (y >= top) & (y < top + 20), (x >= left) & (x < left + 20)
            expected[i, j] = enlarged[inside[0]][:, inside[1]].mean()
    np.testing.assert_allclose(rows @ values @ columns, expected, atol=0.05)
    assert windows.top[-1] == SIZE[0] - 20 and windows.left[-1] == SIZE[1] - 20


def test_a_pixel_is_the_mean_of_the_windows_that_cover_it() -> None:
    windows = Windows.inside((40, 40), 16, 8)
    down, across = windows.spreading()
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    pixels = down @ values @ across
    assert pixels[0, 0] == pytest.approx(values[0, 0])
    assert pixels[20, 20] == pytest.approx(values[1:3, 1:3].mean())
    np.testing.assert_allclose(down @ np.ones((4, 4)) @ across, 1, rtol=1e-5)


def test_spade_is_the_paper_s_two_distances(images: TexturedImages) -> None:
    """d(y) over the K nearest images; each position against all positions of the K' nearest."""
    fitted = detector("spade", n_neighbors="3", n_references="2", dimensions="512", sigma="0")
    fitted.fit(images, Job(RUNTIME))
    windows = Windows.around_cells(SIZE, 16, 8)
    network = window_network(
        "efficientnet-lite0", (), (), strides=(4, 8, 16), windows=windows, runtime=RUNTIME
    )
    known = [network(image) for image in images]
    (fresh,) = TexturedImages.make(1, SIZE, seed=3)
    features, pooled = network(fresh)
    to_images = np.array([np.linalg.norm(pooled - vector) for _, vector in known])
    order = np.argsort(to_images)
    found = fitted.look(fresh)
    assert float(found["retrieval"]) == pytest.approx(to_images[order[:3]].mean(), rel=1e-4)
    searched = np.concatenate([known[i][0].reshape(-1, features.shape[2]) for i in order[:2]])
    flat = features.reshape(-1, features.shape[2])
    distances = np.linalg.norm(flat[:, None] - searched[None], axis=2).min(1)
    # all axes are kept, so that only the common scale and the half precision differ
    expected = MapMaker(features.shape[:2], SIZE, 0.0)(distances.reshape(features.shape[:2]))
    drawn = found["anomaly_map"]
    np.testing.assert_allclose(drawn, expected * (drawn.mean() / expected.mean()), rtol=5e-3)


def test_the_gallery_stays_within_its_budget() -> None:
    """A position has 176 features, an image of this size 96 positions: 29 of 40 images fit a megabyte."""
    many = TexturedImages.make(40, SIZE, seed=0)
    sizes = []
    for budget in ("1", "64"):
        fitted = detector("spade", gallery_mb=budget, dimensions="2000", n_references="1")
        fitted.fit(many, Job(RUNTIME))
        sizes.append(len(fitted.state().graphs["patches"]))
        assert np.isfinite(scores(fitted, many).image).all()
    assert (sizes[1] - sizes[0]) / (2 * 96 * 176) == pytest.approx(40 - 29, rel=0.05)


def test_fused_scores_grow_with_either_score() -> None:
    pairs = np.random.default_rng(0).normal([5, 80], [1, 20], (50, 2))
    normal = [LeftOut(i, {"a": a, "b": b}, 0.0) for i, (a, b) in enumerate(pairs)]
    fusion = SmoothMaximum.learn(normal)
    rising = [fusion({"a": a, "b": 100.0}) for a in np.linspace(-50, 50, 101)]
    assert (np.diff(rising[60:]) > 0).all() and (np.diff(rising) >= 0).all()
    assert fusion({"a": 5.0, "b": 500.0}) > fusion({"a": 5.0, "b": 120.0})
    assert SmoothMaximum.from_json(fusion.to_json()) == fusion


def test_words_are_the_centres_of_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9]], np.float32)
    x = (np.repeat(centres, 50, axis=0) + rng.normal(0, 0.1, (150, 2))).astype(np.float32)
    found = k_means(x, 3, seed=0)
    np.testing.assert_allclose(found[np.lexsort(found.round().T)], centres[np.lexsort(centres.T)], atol=0.1)
    assert len(k_means(np.ones((5, 2), np.float32), 3, seed=0)) == 1


def test_the_graph_scores_sub_images_as_the_formula() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(3, 1, (400, 6)).astype(np.float32)
    words = Words.learn(normal, count=7, n_nearest=2, variance=0.95, seed=0)
    x = (normalised(normal) - words.centre) @ words.axes
    to_words = np.linalg.norm(x[:, None] - words.words[None], axis=2)
    distance = np.sort(to_words, axis=1)[:, :2].mean(1)
    nearest = to_words.argmin(1)
    standardised = (distance - words.middle[nearest]) / words.deviation[nearest]
    for word in np.unique(nearest):
        assert abs(standardised[nearest == word].mean()) < 0.5
    assert standardised.std() == pytest.approx(1, abs=0.3)


def test_a_texem_is_a_gaussian() -> None:
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2000, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0, 3]]) + 4).astype(np.float32)
    texems = Texems.learn(x, count=1, seed=0)
    z = (x - x.mean(0)) / x.std(0)
    expected = -multivariate_normal(z.mean(0), np.cov(z.T, bias=True) + 0.01 * np.eye(3)).logpdf(z[:20])
    np.testing.assert_allclose(texems.surprise(x[:20]), expected, rtol=1e-3, atol=1e-3)
    again = Texems.from_arrays(texems.arrays("a"), "a")
    np.testing.assert_array_equal(texems.surprise(x[:20]), again.surprise(x[:20]))


def test_features_tell_stripes_along_x_from_stripes_along_y() -> None:
    y, x = np.mgrid[:64, :64]
    pixels = [np.repeat((128 + 40 * np.sin(axis))[:, :, None], 3, axis=2).astype(np.uint8) for axis in (x, y)]
    texture = PatchTexture((64, 64), factor=1, side=8, step=4)
    upright, lying = (texture(opponent(image)).mean((0, 1)) for image in pixels)
    assert len(upright) == len(FEATURES)
    assert upright[6] > lying[6] + 1 and lying[7] > upright[7] + 1


def test_a_strange_backbone_is_refused() -> None:
    with pytest.raises((BackboneError, SettingError)):
        detector("dictionary", backbone="resnet").fit(TexturedImages.make(2, SIZE, seed=0), Job(RUNTIME))

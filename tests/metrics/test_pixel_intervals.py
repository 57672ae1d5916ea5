"""Intervals of pixel figures: exact figures of drawn images as oracle, real maps, coverage, bad input."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anomalens import Inspector
from anomalens.datasets import load_tasks
from anomalens.errors import ImageError, InputError, SettingError
from anomalens.evaluation.ground_truth import mask_on_map, visible_map
from anomalens.metrics.intervals import bootstrap_interval, resamples
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.pixel_intervals import pixel_intervals

Pairs = list[tuple[np.ndarray, np.ndarray | None]]
FIGURES = {"pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupimo"}


def smooth_maps(n: int, side: int = 128, seed: int = 0) -> Pairs:
    """Maps as detectors make them: smooth, skewed, some images louder than others; discs, every second."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    pairs: Pairs = []
    for i in range(n):
        values = np.exp(
            3 * gaussian_filter(rng.standard_normal((side, side), np.float32), 3) + rng.normal(0, 0.1)
        )
        mask = None
        if i % 2:
            mask = np.zeros((side, side), bool)
            for _ in range(rng.integers(1, 4)):
                (cy, cx), radius = rng.integers(10, side - 10, 2), rng.integers(2, 12)
                mask |= (y - cy) ** 2 + (x - cx) ** 2 < radius**2
            values = values + rng.gamma(2, 1.5) * gaussian_filter(mask.astype(np.float32), 3)
        pairs.append((values.astype(np.float32), mask))
    return pairs


def drawn_again(pairs: Pairs, n_resamples: int, seed: int) -> list[Pairs]:
    labels = np.array([mask is not None for _, mask in pairs])
    return [[pairs[i] for i in drawn] for drawn in resamples(labels, n_resamples, seed)]


def test_binning_moves_no_figure_by_a_thousandth() -> None:
    pairs = smooth_maps(40)
    exact, found = pixel_figures(pairs), pixel_intervals(pairs)
    assert set(found) == FIGURES
    for name, interval in found.items():
        assert interval.figure == pytest.approx(getattr(exact, name), abs=1e-3), name
        assert 0 < interval.low < interval.figure < interval.high < 1 and interval.n_resamples == 1000


def test_binning_moves_no_figure_of_a_real_detector_by_a_thousandth(real_set) -> None:
    (task,) = load_tasks(real_set("paper_piped"), category="bdp01_tl")
    inspector = Inspector.fit(task.train, size=128, threads=2, runtime="onnxruntime")
    findings = zip(task.test, inspector.check(task.test), strict=True)
    pairs = [(visible_map(finding), mask_on_map(entry, finding)) for entry, finding in findings]
    exact = pixel_figures(pairs)
    for name, interval in pixel_intervals(pairs, n_resamples=20).items():
        assert interval.figure == pytest.approx(getattr(exact, name), abs=1e-3), name


@pytest.mark.parametrize("n", [4, 30])
def test_a_resample_is_the_exact_figure_of_the_drawn_images(n: int) -> None:
    """One resample has no width: its interval is its figure."""
    pairs = smooth_maps(n)
    for seed in range(4):
        ((drawn),) = drawn_again(pairs, 1, seed)
        exact = pixel_figures(drawn)
        for name, interval in pixel_intervals(pairs, n_resamples=1, seed=seed).items():
            assert interval.low == interval.high == pytest.approx(getattr(exact, name), abs=1e-3), name


def test_limits_of_the_figures_are_heeded() -> None:
    pairs = smooth_maps(20)
    exact = pixel_figures(pairs, fpr_limit=0.05, pimo_bounds=(1e-3, 1e-1))
    found = pixel_intervals(pairs, fpr_limit=0.05, pimo_bounds=(1e-3, 1e-1), n_resamples=20)
    for name in ("aupro", "aupimo"):
        assert found[name].figure == pytest.approx(getattr(exact, name), abs=1e-3)
        assert abs(found[name].figure - pixel_intervals(pairs, n_resamples=20)[name].figure) > 0.01


@pytest.mark.parametrize("step", [0.5, 2.0, 1e9])
def test_ties_stay_ties(step: float) -> None:
    """Maps of few values, down to one: each value is a bin, and the figures are exact."""
    pairs = [(np.round(m / step).astype(np.float32), k) for m, k in smooth_maps(12, 64)]
    exact = pixel_figures(pairs)
    for name, interval in pixel_intervals(pairs, n_resamples=5).items():
        assert interval.figure == pytest.approx(getattr(exact, name), abs=1e-6), name


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_the_maps_changes_nothing(scale: float) -> None:
    pairs = smooth_maps(12, 64)
    found = pixel_intervals(pairs, n_resamples=50)
    again = pixel_intervals([(m.astype(float) * scale, k) for m, k in pairs], n_resamples=50)
    for name, interval in found.items():
        assert again[name].low == pytest.approx(interval.low, abs=1e-6)
        assert again[name].high == pytest.approx(interval.high, abs=1e-6)


def test_perfect_maps_promise_no_more_than_so_many_images_can() -> None:
    mask = np.zeros((30, 30), bool)
    mask[3:9, 4:9] = True
    found = pixel_intervals([(np.zeros((30, 30)), None), *[(mask * 2.0, mask)] * 3], n_resamples=40)
    assert all((i.figure, i.high) == (1, 1) and 0.2 < i.low < 0.9 for i in found.values())


def test_the_same_images_are_drawn_as_for_image_figures() -> None:
    """One pixel an image: the pixel AUROC's interval is the image AUROC's."""
    rng = np.random.default_rng(3)
    labels = np.arange(60) % 3 == 0
    scores = rng.standard_normal(60) + labels
    pairs = [
        (np.full((1, 1), s), np.ones((1, 1), bool) if k else None)
        for s, k in zip(scores, labels, strict=True)
    ]
    found, image = pixel_intervals(pairs)["pixel_auroc"], bootstrap_interval(scores, labels)
    assert (found.figure, found.low, found.high) == pytest.approx(
        (image.figure, image.low, image.high), abs=1e-6
    )
    assert pixel_intervals(pairs, seed=1)["pixel_auroc"] != found


def test_images_and_not_pixels_are_drawn() -> None:
    """Copies of every pixel tell nothing new, so the interval stays as wide."""
    pairs = smooth_maps(20, 64)
    larger = [
        (np.kron(m, np.ones((2, 2))), None if k is None else np.kron(k, np.ones((2, 2), bool)))
        for m, k in pairs
    ]
    found, again = pixel_intervals(pairs), pixel_intervals(larger)
    for name in ("pixel_auroc", "pixel_ap", "aupro"):
        assert again[name].low == pytest.approx(found[name].low, abs=2e-3)
        assert again[name].high == pytest.approx(found[name].high, abs=2e-3)


def test_intervals_cover_the_figure_of_all_images_about_as_often_as_promised() -> None:
    truth = pixel_figures(smooth_maps(1500, 32, seed=99))
    found = [pixel_intervals(smooth_maps(40, 32, seed=i), n_resamples=100) for i in range(50)]
    for name in ("pixel_auroc", "pixel_ap", "aupro"):
        covered = np.mean([f[name].low <= getattr(truth, name) <= f[name].high for f in found])
        assert 0.82 <= covered <= 1, (name, covered)


def test_without_normal_images_there_is_no_aupimo() -> None:
    pairs = [pair for pair in smooth_maps(12, 64) if pair[1] is not None]
    found = pixel_intervals(pairs, n_resamples=20)
    assert set(found) == FIGURES - {"aupimo"}


def test_a_resample_without_normal_pixels_does_not_count() -> None:
    whole = (np.full((3, 3), 2.0), np.ones((3, 3), bool))
    half = (np.array([[1.0, 3.0]]), np.array([[False, True]]))
    found = pixel_intervals([whole, half], n_resamples=100)["pixel_auroc"]
    assert found.low < found.high == 1 and 50 < found.n_resamples < 100


def test_memory_beside_the_maps_is_bounded() -> None:
    pairs = smooth_maps(60)
    held = sum(m.nbytes for m, _ in pairs)
    tracemalloc.start()
    try:
        pixel_intervals(pairs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6 + 4 * held  # the maps of this test are small: the bins weigh as much as they do


def test_unusable_input_is_a_sentence() -> None:
    mask = np.eye(4, dtype=bool)
    with pytest.raises(InputError, match="at least one anomalous pixel"):
        pixel_intervals([(np.zeros((4, 4)), None)])
    with pytest.raises(InputError, match="at least one normal pixel"):
        pixel_intervals([(np.zeros((4, 4)), np.ones((4, 4), bool))])
    with pytest.raises(ImageError, match=r"^bad\.png: .*NaN"):
        pixel_intervals([(np.full((4, 4), math.nan), mask)], names=["bad.png"])
    with pytest.raises(SettingError, match="resamples"):
        pixel_intervals([(np.eye(4), mask)], n_resamples=0)
    with pytest.raises(SettingError, match="confidence"):
        pixel_intervals([(np.eye(4), mask)], n_resamples=2, confidence=95)

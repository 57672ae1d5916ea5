"""Figures of anomaly maps: slow sweeps over all thresholds as oracles, properties, budgets, bad input."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as regions_of
from sklearn import metrics as oracle

from anomalens.errors import ImageError, InputError, SettingError
from anomalens.metrics.pixel_figures import PixelFigures, pixel_figures, region_overlap

Pairs = list[tuple[np.ndarray, np.ndarray | None]]


def random_pairs(
    rng: np.random.Generator, *, n: int = 5, ties: bool = True, same_size: bool = False
) -> Pairs:
    """Small maps of different sizes; the first is normal, the second is not."""
    pairs: Pairs = []
    for i in range(n):
        shape = (9, 8) if same_size else tuple(rng.integers(2, 12, 2))
        mask = rng.random(shape) < rng.uniform(0.05, 0.6)
        mask[0, 0] = True
        values = rng.standard_normal(shape) + mask
        if ties:
            values = np.round(values * 2)
        normal = i == 0 or (i > 1 and rng.random() < 0.5)
        pairs.append((values.astype(np.float32), None if normal else mask))
    return pairs


def flat(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    masks = [np.zeros(m.shape, bool) if k is None else k for m, k in pairs]
    return np.concatenate([m.ravel() for m, _ in pairs]), np.concatenate([k.ravel() for k in masks])


def f1_of(flagged: np.ndarray, truth: np.ndarray) -> float:
    return 2 * np.count_nonzero(flagged & truth) / (np.count_nonzero(flagged) + np.count_nonzero(truth))


def slow_aupro(pairs: Pairs, limit: float) -> float:
    """The definition: every threshold of every pixel, every region, trapezoids up to the limit."""
    scores, truth = flat(pairs)
    regions = [
        values[names == name]
        for values, mask in pairs
        if mask is not None
        for names in [regions_of(mask, connectivity=2)]
        for name in range(1, names.max() + 1)
    ]
    fpr, pro = [0.0], [0.0]
    for t in np.unique(scores)[::-1]:
        fpr.append(float(np.mean(scores[~truth] >= t)))
        pro.append(float(np.mean([np.mean(region >= t) for region in regions])))
    inside = [(x, y) for x, y in zip(fpr, pro, strict=True) if x <= limit]
    if inside[-1][0] < limit:
        inside.append((limit, float(np.interp(limit, fpr, pro))))
    x, y = np.array(inside).T
    return float(np.trapezoid(y, x)) / limit


def slow_aupimo(pairs: Pairs, low: float, high: float) -> list[float]:
    """T(F⁻¹(z)) at every z where it can change, each step's length on the logarithmic axis."""
    thresholds = np.unique(flat(pairs)[0])[::-1]
    shared = np.array([np.mean([np.mean(m >= t) for m, k in pairs if k is None]) for t in thresholds])
    inside = shared[(shared > low) & (shared < high)]
    cuts = np.unique(np.concatenate([[low, high], inside]))
    found = []
    for values, mask in pairs:
        if mask is None:
            continue
        area = 0.0
        for start, end in itertools.pairwise(cuts):
            usable = thresholds[shared <= start]
            recall = np.mean(values[mask] >= usable[-1]) if len(usable) else 0.0
            area += recall * np.log(end / start)
        found.append(area / np.log(high / low))
    return found


@pytest.mark.parametrize("ties", [True, False])
def test_pixel_ranking_agrees_with_scikit_learn(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-44, 1e-20, 1.0, 1e30):
        for _ in range(10):
            pairs = [((m * scale).astype(np.float32), k) for m, k in random_pairs(rng, ties=ties)]
            scores, truth = flat(pairs)
            found = pixel_figures(pairs)
            assert found.pixel_auroc == pytest.approx(oracle.roc_auc_score(truth, scores), abs=1e-12)
            assert found.pixel_ap == pytest.approx(oracle.average_precision_score(truth, scores), abs=1e-12)
            f1s = {t: f1_of(scores >= t, truth) for t in np.unique(scores)}
            assert found.pixel_f1_max == pytest.approx(max(f1s.values()), abs=1e-12)
            assert f1s[np.float32(found.pixel_f1_max_threshold)] == max(f1s.values())
            assert found.error_bounds == {}


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3, 0.77, 1.0])
def test_aupro_is_that_of_a_sweep_over_all_thresholds(limit: float) -> None:
    rng = np.random.default_rng(1)
    for i in range(40):
        pairs = random_pairs(rng, ties=i % 2 == 0)
        found = pixel_figures(pairs, fpr_limit=limit)
        assert found.aupro == pytest.approx(slow_aupro(pairs, limit), abs=1e-12)


@pytest.mark.parametrize("bounds", [(1e-5, 1e-4), (0.02, 0.2), (0.1, 1.0)])
def test_aupimo_is_that_of_a_sweep_over_all_thresholds(bounds: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    for i in range(40):
        pairs = random_pairs(rng, n=7, ties=i % 2 == 0, same_size=i % 3 == 0)
        found = pixel_figures(pairs, pimo_bounds=bounds)
        expected = slow_aupimo(pairs, *bounds)
        np.testing.assert_allclose(found.aupimo_per_image, expected, atol=1e-12)
        assert found.aupimo == pytest.approx(np.mean(expected), abs=1e-12)


def test_aupimo_is_what_ever_finer_thresholds_with_trapezoids_approach() -> None:
    """The published implementation's way: thresholds over the normal images' range, then trapezoids."""
    rng = np.random.default_rng(3)
    low, high = 1e-3, 1e-1
    mask = np.zeros((60, 60), bool)
    mask[20:40, 10:50] = True
    normal = [rng.standard_normal((60, 60)) for _ in range(4)]
    anomalous = rng.standard_normal((60, 60)) + 2 * mask
    found = pixel_figures([(m, None) for m in normal] + [(anomalous, mask)], pimo_bounds=(low, high))
    pooled, inside = np.sort(np.ravel(normal)), np.sort(anomalous[mask])
    thresholds = np.linspace(pooled[0], pooled[-1], 300_000)[::-1]
    shared = 1 - np.searchsorted(pooled, thresholds) / len(pooled)
    recall = 1 - np.searchsorted(inside, thresholds) / len(inside)
    use = (shared >= low) & (shared <= high)
    area = np.trapezoid(recall[use], np.log(shared[use])) / np.log(high / low)
    assert found.aupimo == pytest.approx(area, abs=2e-3)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_increasing_rescaling_and_order_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = random_pairs(rng)
    expected = comparable(pixel_figures(pairs, pimo_bounds=(0.01, 0.5)))
    for rescale in (lambda x: x * np.float32(1e-44), np.sinh, lambda x: x.astype(float) ** 3):
        again = pixel_figures([(rescale(m), k) for m, k in pairs], pimo_bounds=(0.01, 0.5))
        assert comparable(again) == expected
    shuffled = [pairs[i] for i in rng.permutation(len(pairs))]
    assert comparable(pixel_figures(shuffled, pimo_bounds=(0.01, 0.5))) == pytest.approx(expected, abs=1e-13)


def comparable(found: PixelFigures) -> list[float]:
    assert found.aupimo is not None
    return [found.pixel_auroc, found.pixel_ap, found.pixel_f1_max, found.aupro, found.aupimo]


def test_perfect_maps_reach_one_and_constant_maps_are_chance() -> None:
    mask = np.zeros((20, 30), bool)
    mask[3:7, 4:9] = mask[15:, 20:] = True
    perfect = pixel_figures([(np.zeros((20, 30)), None), (mask * 2.0, mask)])
    assert comparable(perfect) == [1.0] * 5
    assert (perfect.n_regions, perfect.n_normal_images, perfect.n_anomalous_images) == (2, 1, 1)
    assert (perfect.n_pixels, perfect.n_anomalous_pixels) == (1200, int(mask.sum()))
    chance = pixel_figures([(np.zeros((20, 30)), None), (np.zeros((20, 30)), mask)])
    assert (chance.pixel_auroc, chance.aupimo) == (0.5, 0.0)
    assert chance.pixel_ap == pytest.approx(mask.sum() / 1200)
    assert chance.aupro == pytest.approx(0.15)  # half the limit: the diagonal


def test_regions_touching_at_a_corner_are_one() -> None:
    mask = np.eye(6, dtype=bool)
    assert pixel_figures([(np.eye(6), mask)]).n_regions == 1


def test_large_regions_do_not_outweigh_small_ones_in_aupro() -> None:
    mask = np.zeros((40, 40), bool)
    mask[:20, :20] = mask[30, 30] = True
    found = np.where(mask, 1.0, 0.0)
    found[30, 30] = -1.0  # the small region is missed altogether
    assert pixel_figures([(found, mask)]).aupro == pytest.approx(0.5)


def test_no_normal_image_leaves_aupimo_out() -> None:
    found = pixel_figures([(np.eye(6), np.eye(6, dtype=bool))])
    assert (found.aupimo, found.aupimo_per_image) == (None, ())


def test_a_generator_may_reuse_its_arrays() -> None:
    pairs = random_pairs(np.random.default_rng(4), same_size=True)

    def reusing() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        buffer, mask_buffer = np.empty((9, 8), np.float32), np.empty((9, 8), bool)
        for values, mask in pairs:
            buffer[:] = values
            if mask is not None:
                mask_buffer[:] = mask
            yield buffer, None if mask is None else mask_buffer
        buffer[:] = np.nan

    assert pixel_figures(reusing()) == pixel_figures(pairs)


def test_nothing_given_is_changed() -> None:
    pairs = random_pairs(np.random.default_rng(5))
    copies = [(m.copy(), None if k is None else k.copy()) for m, k in pairs]
    pixel_figures(pairs)
    for (m, k), (m2, k2) in zip(pairs, copies, strict=True):
        assert np.array_equal(m, m2) and (k is None or np.array_equal(k, k2))


def test_maps_of_mixed_precision_are_compared_exactly() -> None:
    mask = np.array([[True, False]])
    just_above = np.nextafter(np.float64(np.float32(0.1)), 1)
    pairs = [
        (np.array([[0.1, 0.1]], np.float32), None),
        (np.array([[just_above, 0.0]], np.float64), mask),
    ]
    assert pixel_figures(pairs).pixel_auroc == 1.0
    assert pixel_figures([(m.astype(np.float32), k) for m, k in pairs]).pixel_auroc == pytest.approx(2 / 3)
    integers = [(np.array([[3, 1]], np.uint8), mask), (np.array([[2, 3]], np.float16), None)]
    assert pixel_figures(integers).pixel_auroc == pytest.approx(2.5 / 3)


def larger_pairs(rng: np.random.Generator, scale: float = 1.0) -> Pairs:
    mask = np.zeros((64, 64), bool)
    mask[10:30, 20:50] = mask[50:53, 5:9] = True
    maps = [rng.gamma(2, scale, (64, 64)) + (i > 3) * mask * 3 * scale for i in range(8)]
    return [(m.astype(np.float32), mask if i > 3 else None) for i, m in enumerate(maps)]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("budget", [0, 10_000, 30_000])
def test_above_the_budget_the_exact_figures_are_within_the_bounds(scale: float, budget: int) -> None:
    pairs = larger_pairs(np.random.default_rng(6), scale)
    if budget:
        pairs.reverse()  # the bins are chosen from anomalous images first
    exact = pixel_figures(pairs, pimo_bounds=(1e-3, 1e-1))
    found = pixel_figures(pairs, pimo_bounds=(1e-3, 1e-1), max_exact_pixels=budget)
    assert set(found.error_bounds) == {"pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupimo"}
    for key, bound in found.error_bounds.items():
        assert abs(getattr(found, key) - getattr(exact, key)) <= bound + 1e-12
        assert bound < (0.03 if budget else 0.3)
    assert found.n_pixels == exact.n_pixels and found.n_regions == exact.n_regions


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_bounds_hold_where_later_maps_are_unlike_the_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [
        (np.float32(rng.choice([1e-9, 1.0, 1e9])) * m - np.float32(i), k)
        for i, (m, k) in enumerate(random_pairs(rng, n=8, ties=False))
    ]
    exact = pixel_figures(pairs, pimo_bounds=(0.02, 0.4))
    found = pixel_figures(pairs, pimo_bounds=(0.02, 0.4), max_exact_pixels=20)
    for key, bound in found.error_bounds.items():
        assert abs(getattr(found, key) - getattr(exact, key)) <= bound + 1e-12


def test_bins_leave_aupimo_out_without_normal_images() -> None:
    found = pixel_figures([(np.eye(6), np.eye(6, dtype=bool))], max_exact_pixels=0)
    assert found.aupimo is None and "aupimo" not in found.error_bounds


MASK = np.eye(4, dtype=bool)


@pytest.mark.parametrize(
    ("anomaly_map", "mask", "sentence"),
    [
        (np.zeros((4, 5)), MASK, r"the mask has shape \(4, 4\) and the map \(4, 5\)"),
        (np.zeros((4, 4)), MASK.astype(np.uint8), "the mask is uint8; give bool"),
        (np.zeros((4, 4)), np.zeros((4, 4), bool), "the mask is empty"),
        (np.full((4, 4), np.nan), None, "NaN or infinite"),
        (np.full((4, 4), np.inf, np.float32), MASK, "NaN or infinite"),
        (np.zeros((4, 4, 1)), None, "shape"),
        (np.zeros((0, 4)), None, "shape"),
        (np.zeros((4, 4), complex), None, "real numbers"),
    ],
)
def test_an_unusable_map_or_mask_is_a_sentence(
    anomaly_map: np.ndarray, mask: np.ndarray | None, sentence: str
) -> None:
    good = (np.zeros((4, 4)), MASK)
    with pytest.raises(ImageError, match=sentence) as caught:
        pixel_figures([good, (anomaly_map, mask)], names=["good.png", "bad.png"])
    assert caught.value.image == "bad.png"
    with pytest.raises(ImageError, match="map 1 "):
        pixel_figures([good, (anomaly_map, mask)])


def test_undefined_figures_are_sentences() -> None:
    with pytest.raises(InputError, match="no images"):
        pixel_figures([])
    with pytest.raises(InputError, match="at least one anomalous pixel"):
        pixel_figures([(np.zeros((4, 4)), None)])
    with pytest.raises(InputError, match="at least one normal pixel"):
        pixel_figures([(np.zeros((4, 4)), np.ones((4, 4), bool))])
    with pytest.raises(SettingError, match="limit"):
        pixel_figures([], fpr_limit=0)
    with pytest.raises(SettingError, match="bounds"):
        pixel_figures([], pimo_bounds=(1e-4, 1e-5))


def five_hundred_maps() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """500 images of 256 × 256, half of them with two defects: 33 million pixels."""
    rng = np.random.default_rng(9)
    mask = np.zeros((256, 256), bool)
    mask[40:90, 50:110] = mask[200:220, 20:60] = True
    for i in range(500):
        values = rng.standard_normal((256, 256), np.float32)
        if i % 2:
            values[mask] += 1.5
        yield values, mask if i % 2 else None


def test_region_overlap_is_aupro_of_one_region_an_image() -> None:
    rng = np.random.default_rng(8)
    maps = [rng.normal(size=(40, 40)).astype(np.float32) for _ in range(4)]
    masks = [np.zeros((40, 40), bool) for _ in range(4)]
    for i, mask in enumerate(masks[:2]):
        mask[5 + i : 15, 8:20] = True
        maps[i][mask] += 1.0
    normal = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    ours = region_overlap(normal, [m[mask] for m, mask in zip(maps[:2], masks[:2], strict=True)])
    exact = pixel_figures([(m, k if k.any() else None) for m, k in zip(maps, masks, strict=True)]).aupro
    assert ours == pytest.approx(exact, abs=2e-3)


def test_five_hundred_images_fit_into_memory() -> None:
    tracemalloc.start()
    try:
        found = pixel_figures(five_hundred_maps())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.n_pixels == 500 * 256 * 256 and found.error_bounds == {}
    assert peak < 500e6


def test_importing_the_metrics_loads_no_scipy() -> None:
    code = """
        import sys
        import anomalens.metrics.intervals, anomalens.metrics.pixel_figures
        print("scipy" in sys.modules, "sklearn" in sys.modules)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "False"]

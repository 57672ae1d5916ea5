"""The parts of the patch detectors: coreset, bank, maps, and the store of features."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from anomalens.detectors.patches.views.axes import leading_axes
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.coreset import greedy_coreset
from anomalens.detectors.patches.views.feature_store import FeatureStore
from anomalens.detectors.patches.views.maps import MapMaker
from anomalens.errors import SettingError
from anomalens.images.enlarging import enlarging_matrix


def vectors(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    difference = x[:, None].astype(np.float64) - y[None].astype(np.float64)
    return np.asarray(np.sqrt((difference**2).sum(2)))


def naive(x: np.ndarray, first: int, size: int) -> list[int]:
    """Gonzalez 1985, every distance of every step."""
    chosen = [first]
    nearest = distances(x, x[[first]])[:, 0]
    while len(chosen) < size:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances(x, x[[chosen[-1]]])[:, 0])
    return chosen


def radius(x: np.ndarray, centres: np.ndarray) -> float:
    return float(distances(x, centres).min(1).max())


@pytest.mark.parametrize("candidates", [1, 7, 64, 10_000])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_choice_is_the_naive_greedy_one(candidates: int, seed: int) -> None:
    x = vectors(700, 12, seed)
    chosen = greedy_coreset(x, 120, seed=seed, candidates=candidates).chosen
    assert chosen.tolist() == naive(x, int(chosen[0]), 120)


def test_halves_are_chosen_as_their_numbers_are() -> None:
    x = vectors(3000, 100).astype(np.float16)
    found = greedy_coreset(x, 120)
    assert found.vectors.dtype == np.float16
    kept = found.vectors.astype(np.float32)
    assert found.chosen.tolist() == naive(kept, int(found.chosen[0]), 120)
    expected = (x - x.mean(0, dtype=np.float64)) @ leading_axes(x, 64, seed=0) / 32
    np.testing.assert_allclose(kept, expected, atol=2e-4)


@pytest.mark.parametrize("channels", [40, 152, 512])
@pytest.mark.parametrize("fainter", [30, 60, 100, 200])
def test_features_of_one_sign_after_a_faint_first_image_are_all_told_apart(
    channels: int, fainter: float
) -> None:
    store = FeatureStore(channels, memory_mb=100, keep=10, expected=600, seed=0)
    level = 1 + np.random.default_rng(0).random((600, 1)).astype(np.float32)
    features = level * (2 + vectors(600, channels) * np.float32(0.1))
    features[:300] /= fainter
    store.add(features[:300], 0)
    store.add(features[300:], 1)
    found = store.coreset(50)
    assert np.isfinite(found.vectors).all() and np.isfinite(found.norms).all()
    assert len(set(found.chosen.tolist())) == 50


def test_the_choice_does_not_depend_on_a_shift() -> None:
    x = vectors(400, 8)
    assert np.array_equal(greedy_coreset(x, 60).chosen, greedy_coreset(x + np.float32(50), 60).chosen)


def test_every_row_knows_its_nearest_chosen_row() -> None:
    x = vectors(500, 6)
    found = greedy_coreset(x, 40)
    expected = distances(x, x[found.chosen]).argmin(1)
    np.testing.assert_array_equal(found.nearest, expected)


@pytest.mark.parametrize(("size", "expected"), [(0, 1), (1, 1), (30, 30), (31, 30), (10**9, 30)])
def test_the_size_is_clipped_to_what_there_is(size: int, expected: int) -> None:
    chosen = greedy_coreset(vectors(30, 4), size).chosen
    assert len(chosen) == len(set(chosen.tolist())) == expected


@pytest.mark.parametrize("candidates", [3, 10_000])
def test_copies_are_chosen_once(candidates: int) -> None:
    different = np.arange(20, dtype=np.float32).reshape(5, 4) ** 2
    x = np.repeat(different, 8, axis=0)
    chosen = greedy_coreset(x, 40, candidates=candidates).chosen
    assert len(chosen) == 5
    assert len(np.unique(x[chosen], axis=0)) == 5


def test_one_vector_and_equal_vectors() -> None:
    assert greedy_coreset(vectors(1, 3), 5).chosen.tolist() == [0]
    assert len(greedy_coreset(np.ones((9, 3), np.float32), 5).chosen) == 1


def test_the_projection_keeps_distances_where_most_directions_are_empty() -> None:
    x = vectors(300, 10) @ vectors(10, 200, 1)
    shrunk = x @ leading_axes(x, 64, seed=0)
    assert shrunk.shape == (300, 64)
    np.testing.assert_allclose(distances(shrunk[:40], shrunk[:40]), distances(x[:40], x[:40]), atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 50),
    groups=st.integers(2, 6),
    size=st.integers(1, 80),
    left_out=st.sets(st.integers(0, 5), max_size=5),
)
def test_left_out_rows_never_come_back(seed: int, groups: int, size: int, left_out: set[int]) -> None:
    x = vectors(120, 3, seed)
    group = np.arange(120) % groups
    gone = np.isin(group, list(left_out))
    if gone.all():
        return
    found = greedy_coreset(x, size, seed=seed)
    rest = found.without(gone)
    assert not gone[rest].any()
    assert len(set(rest.tolist())) == len(rest)
    assert 1 <= len(rest) <= len(found.chosen)
    kept = found.chosen[~gone[found.chosen]]
    assert set(kept.tolist()) <= set(rest.tolist())


@pytest.mark.parametrize("fold", range(5))
def test_without_a_fold_the_coverage_is_that_of_a_fresh_choice(fold: int) -> None:
    x = vectors(2000, 5)
    gone = (np.arange(2000) // 40) % 5 == fold
    refilled = x[greedy_coreset(x, 150).without(gone)]
    fresh = x[~gone][greedy_coreset(x[~gone], 150).chosen]
    assert len(refilled) == len(fresh)
    assert radius(x[~gone], refilled) < 1.2 * radius(x[~gone], fresh)


def test_a_rare_group_that_only_its_own_rows_covered_is_gone_with_them() -> None:
    x = vectors(600, 4)
    x[:20] += 40
    gone = np.arange(600) < 20
    found = greedy_coreset(x, 60)
    assert (found.chosen < 20).any()
    rest = found.without(gone)
    assert radius(x[:20], x[rest]) > 30
    np.testing.assert_array_equal(np.sort(rest), np.sort(found.chosen[found.chosen >= 20]))


def test_leaving_nothing_out_changes_nothing() -> None:
    found = greedy_coreset(vectors(200, 4), 30)
    np.testing.assert_array_equal(found.without(np.zeros(200, bool)), found.chosen)


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (700, 300, 20), (1030, 65, 7)])
def test_the_nearest_vector_is_found_as_by_brute_force(n: int, m: int, d: int, shift: float) -> None:
    queries, bank = vectors(n, d, 1) + np.float32(shift), vectors(m, d, 2) + np.float32(shift)
    exact = distances(queries, bank)
    np.testing.assert_allclose(Bank(bank).distances(queries), exact.min(1), rtol=1e-3, atol=1e-3)


def test_a_vector_of_the_bank_is_at_distance_nought() -> None:
    bank = vectors(50, 30)
    assert Bank(bank).distances(bank).max() < 5e-3


def spread_out(n: int, seed: int) -> np.ndarray:
    """Vectors [n, 160] of a variance that falls along their directions, as patch features have it."""
    return vectors(n, 160, seed) * np.linspace(3, 0.2, 160, dtype=np.float32)


def test_along_fewer_axes_nearly_all_nearest_vectors_are_found_and_measured_exactly() -> None:
    bank, queries = Bank(spread_out(1003, 0)), spread_out(400, 1)
    assert bank.axes is not None and bank.axes.shape == (160, 95)
    found, exact = bank.distances(queries), distances(queries, bank.vectors)
    nearest = exact.min(1)
    assert (found > nearest * (1 - 1e-5)).all()
    assert (found < nearest * (1 + 1e-5)).mean() > 0.8
    assert found.mean() < 1.005 * nearest.mean()
    assert np.abs(exact - found[:, None]).min(1).max() < 1e-3  # each is the distance of some vector


def test_the_best_of_the_last_part_is_found_where_parts_are_uneven() -> None:
    for n in (1, 2, 3, 5, 1001, 1002, 1003):
        bank = Bank(spread_out(n, 2))
        np.testing.assert_allclose(bank.distances(bank.vectors), 0, atol=1e-6)


@pytest.mark.parametrize("norm", [20, 40, 80])
def test_a_rare_vector_off_the_axes_is_found(norm: float) -> None:
    rare = np.zeros((1, 160), np.float32)
    rare[0, -1] = norm
    vectors_of = np.concatenate([spread_out(1000, 0), rare, spread_out(1001, 1)])
    bank = Bank(vectors_of)
    assert (bank.axes is None) == (norm < 80)  # a variance of its own beyond that
    np.testing.assert_allclose(bank.distances(rare), 0, atol=1e-6)
    assert Bank(spread_out(1000, 0)).axes is not None


def test_all_features_are_used_where_they_are_few() -> None:
    assert Bank(vectors(500, 60)).axes is None
    axes = Bank(vectors(500, 70) * np.float32(0.01)).axes
    assert axes is not None and axes.shape == (70, 63)


def test_the_closest_vector_and_its_neighbours_are_those_of_brute_force() -> None:
    bank, queries = Bank(spread_out(503, 3)), spread_out(20, 4)
    assert [bank.closest(query) for query in queries] == distances(queries, bank.vectors).argmin(1).tolist()
    around = distances(bank.vectors[[17]], bank.vectors)[0]
    assert set(bank.neighbours(17, 9)) == set(np.argsort(around)[:9])
    assert bank.neighbours(17, 9) is bank.neighbours(17, 9)
    assert bank.neighbours(17, 9).base is None  # not a view of the places of all
    assert Bank(spread_out(3, 5)).closest(spread_out(3, 5)[2]) == 2


def bilinear(values: np.ndarray, pixels: int) -> np.ndarray:
    """Half-pixel centres, held constant beyond the outer ones."""
    place = (np.arange(pixels) + 0.5) * len(values) / pixels - 0.5
    return np.interp(place, np.arange(len(values)), values)


@pytest.mark.parametrize(
    ("patches", "pixels", "sigma"),
    [(8, 64, 4.0), (8, 64, 0.0), (5, 37, 2.5), (1, 16, 4.0), (12, 12, 1.0), (16, 8, 1.0), (4, 32, 30.0)],
)
def test_enlarging_is_bilinear_then_gaussian(patches: int, pixels: int, sigma: float) -> None:
    matrix = enlarging_matrix(patches, pixels, sigma)
    for seed in range(3):
        values = np.random.default_rng(seed).random(patches)
        expected = bilinear(values, pixels)
        if sigma:
            expected = gaussian_filter1d(expected, sigma, mode="reflect", truncate=4.0)
        np.testing.assert_allclose(matrix @ values, expected, atol=1e-5)


def test_a_map_is_enlarged_along_both_axes() -> None:
    patches = vectors(6, 9)
    made = MapMaker((6, 9), (48, 54), 3.0)(patches)
    assert made.shape == (48, 54)
    assert made.dtype == np.float32
    rows = np.stack([bilinear(column, 48) for column in patches.T], axis=1)
    full = np.stack([bilinear(row, 54) for row in rows])
    smooth = gaussian_filter1d(gaussian_filter1d(full, 3.0, axis=0), 3.0, axis=1)
    np.testing.assert_allclose(made, smooth, atol=1e-5)


def test_a_constant_map_stays_constant() -> None:
    made = MapMaker((4, 4), (32, 32), 4.0)(np.full((4, 4), 2.5, np.float32))
    np.testing.assert_allclose(made, 2.5, rtol=1e-5)


def fill(store: FeatureStore, images: int, patches: int, channels: int) -> None:
    for image in range(images):
        store.add(vectors(patches, channels, image), image)


def test_what_fits_is_kept_in_11_bits() -> None:
    store = FeatureStore(4, memory_mb=16, keep=10, expected=60, seed=0)
    fill(store, 6, 10, 4)
    assert (store.reduced, store.seen, len(store)) == (False, 60, 60)
    np.testing.assert_allclose(store[20:30], vectors(10, 4, 2), rtol=2**-11)
    np.testing.assert_array_equal(store[np.array([20, 3])], store[:][[20, 3]])
    np.testing.assert_array_equal(store.groups, np.repeat(np.arange(6), 10))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_features_of_any_size_are_held_alike(scale: float) -> None:
    store = FeatureStore(4, memory_mb=16, keep=10, expected=60, seed=0)
    first, other = vectors(30, 4, 0) * np.float32(scale), vectors(30, 4, 1) * np.float32(100 * scale)
    store.add(first, 0)
    store.add(other, 1)
    np.testing.assert_allclose(store[:], np.concatenate([first, other]), rtol=2**-11)
    assert store[:].dtype == np.float32


@pytest.mark.parametrize("first", [0.0, 2.0**-12])
def test_a_dark_first_image_does_not_cut_the_others(first: float) -> None:
    store = FeatureStore(4, memory_mb=16, keep=10, expected=60, seed=0)
    store.add(np.full((30, 4), first, np.float32), 0)
    store.add(vectors(30, 4), 1)
    np.testing.assert_array_equal(store[:30], first)
    np.testing.assert_allclose(store[30:], vectors(30, 4), rtol=2**-11)


def test_reductions_stay_in_the_budget_and_keep_what_is_rare() -> None:
    budget, channels, patches, images = 1, 32, 300, 80
    rare = np.full((1, channels), 30, np.float32) * np.sign(vectors(1, channels, 99))
    tracemalloc.start()
    store = FeatureStore(channels, memory_mb=budget, keep=500, expected=patches * images, seed=0)
    for image in range(images):
        features = vectors(patches, channels, image)
        if image == 3:
            features[17] = rare
        store.add(features, image)
        rows, rest = divmod(store.nbytes, 2 * channels + 8)
        assert not rest and rows * (2 * channels + 8 + 2 * 64 + 16) <= budget * 10**6
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert store.reduced
    assert store.seen == patches * images
    everything = patches * images * channels * 2
    assert everything > 1.5 * budget * 10**6
    # beside the budget: the blocks that distances are worked out in, and the projection's sample
    assert peak < budget * 10**6 + 40_000_000
    (place,) = np.flatnonzero((store[:] == rare).all(1))
    assert store.groups[place] == 3


def test_every_kept_vector_keeps_its_group() -> None:
    store = FeatureStore(8, memory_mb=1, keep=300, expected=40 * 200, seed=0)
    for image in range(40):
        features = vectors(200, 8, image)
        features[:, 0] = image
        store.add(features, image)
    assert store.reduced
    np.testing.assert_array_equal(store[:][:, 0].astype(int), store.groups)


def test_budgets_that_hold_too_little_are_refused() -> None:
    with pytest.raises(SettingError, match="raise memory_mb or lower max_bank"):
        FeatureStore(64, memory_mb=1, keep=5000, expected=10**6, seed=0)


def test_images_larger_than_the_budget_are_refused() -> None:
    store = FeatureStore(64, memory_mb=1, keep=500, expected=10_000, seed=0)
    with pytest.raises(SettingError, match="raise memory_mb"):
        fill(store, 2, 5000, 64)

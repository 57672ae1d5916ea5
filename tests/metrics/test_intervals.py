"""Intervals: bootstrap coverage, DeLong against its definition, the bootstrap and a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anomalens.errors import InputError, SettingError
from anomalens.metrics.intervals import bootstrap_interval, delong_test, newcombe, over_seeds, resamples
from anomalens.metrics.ranking import average_precision, f1_max, image_auroc


def two_detectors(
    rng: np.random.Generator, n: int, gap: float = 0.0, shift: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlated scores of two detectors on n images, half of them anomalous; a is better by `gap`."""
    labels = np.arange(n) < n // 2
    shared = rng.standard_normal(n)
    a, b = (shared + 0.8 * rng.standard_normal(n) + labels * s for s in (shift + gap, shift))
    return a, b, labels


def test_the_same_seed_gives_the_same_interval_around_the_figure_of_all_images() -> None:
    a, _, labels = two_detectors(np.random.default_rng(0), 80)
    first = bootstrap_interval(a, labels, n_resamples=200, seed=7)
    assert first == bootstrap_interval(a, labels, n_resamples=200, seed=7)
    assert first != bootstrap_interval(a, labels, n_resamples=200, seed=8)
    assert first.figure == image_auroc(a, labels) and first.low < first.figure < first.high
    assert first.n_resamples == 200


def test_resamples_are_drawn_with_replacement_and_class_by_class() -> None:
    labels = np.arange(30) < 4
    seen = []

    def note(scores: np.ndarray, truth: np.ndarray) -> float:
        seen.append((int(truth.sum()), len(truth), len(np.unique(scores))))
        assert np.array_equal(truth, scores < 4)
        return 0.0

    bootstrap_interval(np.arange(30.0), labels, figure=note, n_resamples=50)
    assert {(p, n) for p, n, _ in seen} == {(4, 30)}
    assert max(distinct for _, _, distinct in seen[1:]) < 30


def test_any_figure_can_be_resampled() -> None:
    a, _, labels = two_detectors(np.random.default_rng(1), 60)
    for figure in (average_precision, lambda s, y: f1_max(s, y)[0]):
        found = bootstrap_interval(a, labels, figure=figure, n_resamples=100)
        assert 0 <= found.low <= found.figure <= found.high <= 1


def test_bootstrap_intervals_cover_the_true_auroc_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(120) < 50
    truth = 0.5 * (1 + math.erf(1.2 / 2))  # P(N(1.2, 1) > N(0, 1))
    found = [
        bootstrap_interval(rng.standard_normal(120) + 1.2 * labels, labels, n_resamples=200, seed=i)
        for i in range(150)
    ]
    assert 0.88 <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.99


def test_perfect_separation_promises_no_more_than_so_many_images_can() -> None:
    for each, low in ((5, 0.68), (50, 0.96), (500, 0.996)):
        labels = np.arange(2 * each) >= each
        found = bootstrap_interval(np.arange(2.0 * each), labels, n_resamples=20)
        assert (found.figure, found.high) == (1.0, 1.0)
        assert found.low == pytest.approx(low, abs=0.04)
        worst = bootstrap_interval(-np.arange(2.0 * each), labels, n_resamples=20)
        assert worst.low == 0 and worst.high == pytest.approx(1 - found.low)


def structural_components(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The definition, over all pairs (DeLong et al. 1988, eqs. 3–5)."""
    x, y = scores[labels][:, None], scores[~labels][None]
    wins = (x > y) + 0.5 * (x == y)
    return wins.mean(axis=1), wins.mean(axis=0)


def test_newcombe_covers_the_true_auroc_near_one() -> None:
    rng, labels = np.random.default_rng(0), np.arange(60) < 30
    true = 0.9831  # Φ(3 / √2)
    inside = 0
    for _ in range(400):
        low, high = newcombe(image_auroc(rng.standard_normal(60) + 3.0 * labels, labels), 30, 30)
        inside += low <= true <= high
    assert inside / 400 > 0.92


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_delong_is_its_definition_over_all_pairs(decimals: int) -> None:
    a, b, labels = two_detectors(np.random.default_rng(3), 70, gap=0.3)
    a, b = a.round(decimals), b.round(decimals)
    found = delong_test(a, b, labels)
    components = [structural_components(s, labels) for s in (a, b)]
    covariance = sum(np.cov(u, v) / len(u) for u, v in zip(*components, strict=True))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert found.difference == image_auroc(a, labels) - image_auroc(b, labels)
    assert found.z == pytest.approx(found.difference / math.sqrt(variance), rel=1e-12)
    assert found.low < found.difference < found.high
    assert (found.low > 0) == (found.p < 0.05 and found.difference > 0)


def test_delong_agrees_with_the_bootstrap() -> None:
    a, b, labels = two_detectors(np.random.default_rng(4), 400, gap=0.2)
    found = delong_test(a, b, labels)
    drawn = list(resamples(labels, 2000, 0))
    differences = [image_auroc(a[d], labels[d]) - image_auroc(b[d], labels[d]) for d in drawn]
    low, high = np.quantile(differences, [0.025, 0.975])
    assert found.standard_error == pytest.approx((high - low) / (2 * 1.96), rel=0.08)
    assert found.low == pytest.approx(low, abs=0.3 * found.standard_error)
    assert found.high == pytest.approx(high, abs=0.3 * found.standard_error)


def test_delong_rejects_equal_detectors_in_about_five_per_cent() -> None:
    rng = np.random.default_rng(5)
    tests = [delong_test(*two_detectors(rng, 120)) for _ in range(2000)]
    assert 0.038 <= np.mean([t.p < 0.05 for t in tests]) <= 0.062  # 0.05 ± 2.5 standard errors
    assert np.std([t.z for t in tests]) == pytest.approx(1.0, abs=0.06)


def test_delong_finds_a_real_difference_and_is_antisymmetric() -> None:
    a, b, labels = two_detectors(np.random.default_rng(6), 400, gap=1.0)
    there, back = delong_test(a, b, labels), delong_test(b, a, labels)
    assert there.p < 1e-6 and there.low > 0
    assert (back.difference, back.z, back.p) == (-there.difference, -there.z, there.p)
    assert (back.low, back.high) == (-there.high, -there.low)


def test_delong_does_not_see_the_scale() -> None:
    a, b, labels = two_detectors(np.random.default_rng(7), 50)
    assert delong_test(np.exp(100 * a), b * 1e-300, labels) == delong_test(a, b, labels)


def test_delong_without_variation_is_defined() -> None:
    labels = np.arange(12) < 5
    a = np.random.default_rng(8).standard_normal(12)
    same = delong_test(a, 3 * a + 1, labels)
    assert (same.difference, same.standard_error, same.z, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert (same.low, same.high) == (0.0, 0.0)
    best, worst = np.where(labels, 1.0, 0.0), np.where(labels, 0.0, 1.0)
    for other, difference in ((worst, 1.0), (np.zeros(12), 0.5)):
        found = delong_test(best, other, labels)
        assert (found.difference, found.standard_error, found.z, found.p) == (difference, 0.0, math.inf, 0.0)
        assert delong_test(other, best, labels).z == -math.inf


def test_unusable_input_is_a_sentence() -> None:
    with pytest.raises(InputError, match="1 anomalous and 2 normal images"):
        delong_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [True, False, False])
    with pytest.raises(InputError, match="at least one normal"):
        bootstrap_interval([1.0, 2.0], [True, True])
    with pytest.raises(InputError, match="NaN"):
        delong_test([1.0, 2.0], [1.0, math.nan], [True, False])
    with pytest.raises(SettingError, match="resamples"):
        bootstrap_interval([1.0, 2.0], [True, False], n_resamples=0)
    with pytest.raises(SettingError, match="confidence"):
        delong_test(np.arange(4.0), np.arange(4.0), [True, False, True, False], confidence=95)


def test_mean_over_seeds() -> None:
    found = over_seeds([0.9, 0.92, 0.94])
    assert (found.mean, found.sd, found.n) == (pytest.approx(0.92), pytest.approx(0.02), 3)
    assert str(found) == "0.920 ± 0.020"
    assert (over_seeds([0.5]).sd, str(over_seeds([0.5]))) == (None, "0.500")
    for unusable in ([], [0.5, math.nan]):
        with pytest.raises(InputError, match="at least one"):
            over_seeds(unusable)

"""Figures of image scores: scikit-learn and brute force as oracles, properties, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as oracle

from anomalens.errors import InputError, SettingError
from anomalens.metrics.ranking import (
    auroc,
    average_precision,
    f1_max,
    fpr_at_tpr,
    image_auroc,
    precision_recall_curve,
    roc_curve,
)
from anomalens.metrics.verdicts import clopper_pearson, verdict_figures

SCALES = (1e-300, 1e-320, 1e-30, 1e-3, 1.0, 1e6, 1e150, 1e300)  # the second is subnormal


def random_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A few images with many ties, at one of many scales, both classes present."""
    n = int(rng.integers(2, 24))
    labels = rng.random(n) < rng.uniform(0.05, 0.95)
    labels[:2] = True, False
    values = rng.integers(-3, 4, n) if rng.random() < 0.7 else rng.standard_normal(n) + labels
    return values * rng.choice(SCALES), rng.permutation(labels)


def test_ten_thousand_random_cases_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for _ in range(10_000):
            scores, labels = random_case(rng)
            fpr, tpr, thresholds = roc_curve(scores, labels)
            theirs = oracle.roc_curve(labels, scores, drop_intermediate=False)
            assert np.abs(fpr - theirs[0]).max() <= 1e-12 and np.abs(tpr - theirs[1]).max() <= 1e-12
            assert np.array_equal(thresholds, theirs[2])
            assert abs(image_auroc(scores, labels) - oracle.auc(*theirs[:2])) <= 1e-12
            theirs_ap = oracle.average_precision_score(labels, scores)
            assert abs(average_precision(scores, labels) - theirs_ap) <= 1e-12


def test_auroc_and_precision_recall_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    for _ in range(500):
        scores, labels = random_case(rng)
        assert image_auroc(scores, labels) == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)
        precision, recall, thresholds = precision_recall_curve(scores, labels)
        theirs = oracle.precision_recall_curve(labels, scores)
        np.testing.assert_allclose(precision, theirs[0][::-1], rtol=1e-12)
        np.testing.assert_allclose(recall, theirs[1][::-1], rtol=1e-12)
        np.testing.assert_array_equal(thresholds[1:], theirs[2][::-1])


@settings(max_examples=200, deadline=None)
@given(*(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30),) * 2)
def test_auroc_is_the_share_of_pairs_in_order(normal: list[float], anomalous: list[float]) -> None:
    pairs = [(a > n) + 0.5 * (a == n) for a in anomalous for n in normal]
    assert auroc(normal, anomalous) == pytest.approx(np.mean(pairs))


def test_f1_max_and_fpr_at_tpr_are_those_of_a_sweep_over_all_thresholds() -> None:
    rng = np.random.default_rng(5)
    for _ in range(1000):
        scores, labels = random_case(rng)
        rules = [(t, scores >= t) for t in np.unique(scores)[::-1]]
        f1s = [2 * np.sum(f & labels) / (np.sum(f) + np.sum(labels)) for _, f in rules]
        best = int(np.argmax(f1s))
        assert f1_max(scores, labels) == (pytest.approx(f1s[best], abs=1e-15), rules[best][0])
        for wanted in (0.5, 0.95, 1.0):
            usable = [np.mean(f[~labels]) for _, f in rules if np.mean(f[labels]) >= wanted]
            assert fpr_at_tpr(scores, labels, tpr=wanted) == pytest.approx(min(usable), abs=1e-15)


def test_fpr_at_95_counts_exactly_95_per_cent_as_reached() -> None:
    scores = np.r_[np.arange(20), 0.5]
    labels = np.r_[np.ones(20, bool), False]
    assert fpr_at_tpr(scores, labels) == 0.0
    assert fpr_at_tpr(scores, labels, tpr=0.951) == 1.0


cases = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda case: len({label for _, label in case}) == 2
)
ranking = (image_auroc, average_precision, fpr_at_tpr, lambda s, y: f1_max(s, y)[0])


@settings(deadline=None)
@given(case=cases)
def test_increasing_rescaling_changes_nothing(case: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in case], float), np.array([y for _, y in case])
    for rescale in (lambda x: x * 1e-320, lambda x: np.sinh(50 * x), lambda x: np.ldexp(x, 1000)):
        for figure in ranking:
            assert figure(rescale(scores), labels) == figure(scores, labels)


@settings(deadline=None)
@given(case=cases, seed=st.integers(0, 99))
def test_order_changes_nothing(case: list[tuple[int, bool]], seed: int) -> None:
    scores, labels = np.array([s for s, _ in case], float), np.array([y for _, y in case])
    order = np.random.default_rng(seed).permutation(len(scores))
    for figure in ranking:
        assert figure(scores[order], labels[order]) == figure(scores, labels)


@settings(deadline=None)
@given(case=cases)
def test_reversing_scores_mirrors_the_auroc(case: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s for s, _ in case], float), np.array([y for _, y in case])
    assert image_auroc(-scores, labels) == pytest.approx(1 - image_auroc(scores, labels), abs=1e-15)


def test_neighbouring_floats_are_told_apart_and_signed_zeros_are_not() -> None:
    assert image_auroc([1.0, np.nextafter(1.0, 2)], [False, True]) == 1.0
    assert image_auroc([5e-324, 0.0], [True, False]) == 1.0
    assert image_auroc([0.0, -0.0], [True, False]) == 0.5


def test_equal_scores_are_chance_and_no_error() -> None:
    case = np.full(8, 7.0), np.arange(8) < 2
    assert (image_auroc(*case), average_precision(*case), fpr_at_tpr(*case)) == (0.5, 0.25, 1.0)
    assert f1_max(*case) == (pytest.approx(0.4), 7.0)


def test_perfect_scores_reach_one_exactly() -> None:
    case = np.arange(49.0), np.arange(49) >= 20
    assert (image_auroc(*case), average_precision(*case), fpr_at_tpr(*case)) == (1.0, 1.0, 0.0)
    assert f1_max(*case) == (1.0, 20.0)


@pytest.mark.parametrize(("labels", "missing"), [([True] * 3, "normal"), ([False] * 3, "anomalous")])
def test_a_missing_class_is_a_sentence(labels: list[bool], missing: str) -> None:
    for figure in (image_auroc, average_precision, f1_max, fpr_at_tpr, roc_curve, precision_recall_curve):
        with pytest.raises(InputError, match=f"at least one {missing} image"):
            figure([1.0, 2.0, 3.0], labels)


@pytest.mark.parametrize(
    ("scores", "labels", "sentence"),
    [
        ([], [], "at least one"),
        ([[1.0, 2.0]], [True, False], "shape"),
        ([1.0, 2.0, 3.0], [True, False], "give 3, one for each score"),
        ([1.0, math.nan, math.inf], [True, False, True], "2 of 3 scores are NaN or infinite, .* place 1"),
        ([1.0, 2.0], [1, 0], "give bool"),
        (["a", "b"], [True, False], "real numbers"),
        ([1j, 2j], [True, False], "real numbers"),
    ],
)
def test_unusable_input_is_a_sentence(scores: list[float], labels: list[bool], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        image_auroc(scores, labels)


def test_unusable_verdicts_and_settings_are_sentences() -> None:
    with pytest.raises(InputError, match="verdicts have shape"):
        verdict_figures([True, False], [True])
    with pytest.raises(InputError, match="verdicts are int64"):
        verdict_figures([True, False], [1, 0])
    with pytest.raises(SettingError, match="true-positive rate"):
        fpr_at_tpr([1.0, 2.0], [True, False], tpr=0.0)
    with pytest.raises(SettingError, match="confidence"):
        clopper_pearson(1, 2, confidence=1.0)
    with pytest.raises(InputError, match="no share"):
        clopper_pearson(3, 2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_verdict_figures_agree_with_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    labels, verdicts = (np.array(column) for column in zip(*pairs, strict=True))
    found = verdict_figures(labels, verdicts)
    assert found.accuracy == pytest.approx(oracle.accuracy_score(labels, verdicts))
    for ours, theirs in (
        (found.precision, oracle.precision_score),
        (found.recall, oracle.recall_score),
        (found.f1, oracle.f1_score),
    ):
        value = theirs(labels, verdicts, zero_division=np.nan)
        assert (ours is None and np.isnan(value)) or ours == pytest.approx(value)
    matrix = oracle.confusion_matrix(labels, verdicts, labels=[False, True])
    c = found.confusion
    assert [[c.tn, c.fp], [c.fn, c.tp]] == matrix.tolist()


def test_exact_intervals_are_those_of_scipy_and_cover() -> None:
    for count, total in [(0, 1), (1, 1), (0, 60), (3, 60), (59, 60), (500, 1000)]:
        rate = clopper_pearson(count, total)
        theirs = binomtest(count, total).proportion_ci(0.95, method="exact")
        assert [rate.low, rate.high] == pytest.approx([theirs.low, theirs.high], abs=1e-9)
    assert (clopper_pearson(0, 0).low, clopper_pearson(0, 0).high) == (0.0, 1.0)
    found = [clopper_pearson(int(k), 50) for k in np.random.default_rng(0).binomial(50, 0.04, 2000)]
    assert np.mean([rate.low <= 0.04 <= rate.high for rate in found]) >= 0.95

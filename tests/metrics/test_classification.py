"""Figures of classifiers, against scikit-learn, counts by hand and OpenOOD's conventions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn import metrics

from anomalens.errors import InputError
from anomalens.metrics.classification import (
    calibration_error,
    calibration_error_if_perfect,
    classification_figures,
    ood_figures,
    temperature,
)

NAMES = ("cat", "dog", "owl")


def drawn(n=400, seed=0, scale=2.0):
    """Logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((n, 3))
    shares = softmax(logits, axis=1)
    labels = (rng.random((n, 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return logits, labels


def test_accuracy_f1_and_confusion_as_in_scikit_learn():
    logits, labels = drawn()
    found = classification_figures(labels, softmax(logits, axis=1), NAMES)
    predicted = logits.argmax(axis=1)
    precision, recall, f1, n = metrics.precision_recall_fscore_support(labels, predicted)
    assert found.accuracy == metrics.accuracy_score(labels, predicted)
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert [list(row) for row in found.confusion] == metrics.confusion_matrix(labels, predicted).tolist()
    assert [one.name for one in found.per_class] == list(NAMES)
    np.testing.assert_allclose([one.precision for one in found.per_class], precision)
    np.testing.assert_allclose([one.recall for one in found.per_class], recall)
    np.testing.assert_allclose([one.f1 for one in found.per_class], f1)
    assert [one.n for one in found.per_class] == n.tolist()


def test_a_class_without_images_and_one_never_predicted():
    shares = [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1]]
    found = classification_figures([0, 0, 1], shares, NAMES)
    cat, dog, owl = found.per_class
    assert (dog.precision, dog.recall, dog.f1) == (None, 0, 0)
    assert (owl.n, owl.precision, owl.recall, owl.f1) == (0, None, None, None)
    assert (cat.precision, cat.recall) == (2 / 3, 1)
    assert found.macro_f1 == pytest.approx((0.8 + 0) / 2)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 0.5])
    right = np.array([True, True, True, False, True, False])
    assert calibration_error(confidence, right) == pytest.approx(4 / 6 * 0.2)
    shares = np.stack([confidence, 1 - confidence, np.zeros(6)], axis=1)
    found = classification_figures(np.where(right, 0, 2), shares, NAMES)
    assert found.calibration_error == pytest.approx(4 / 6 * 0.2)
    (top,) = [one for one in found.reliability if one.low < 0.95 <= one.high]
    assert (top.n, top.confidence, top.accuracy) == (4, pytest.approx(0.95), 0.75)
    assert sum(one.n for one in found.reliability) == 6
    assert found.reliability[0].accuracy is None


@pytest.mark.parametrize("edge", [0.0, 1 / 3, 0.2, 0.4, 1.0])
def test_a_confidence_on_the_edge_of_a_bin_is_counted_once(edge):
    assert calibration_error(np.array([edge]), np.array([False])) == pytest.approx(edge)


@pytest.mark.parametrize("n", [60, 600, 6000])
def test_a_perfect_classifier_shows_the_error_that_is_foretold(n):
    shown, foretold = [], []
    for seed in range(20):
        logits, labels = drawn(n, seed)
        found = classification_figures(labels, softmax(logits, axis=1), NAMES)
        shown.append(found.calibration_error)
        foretold.append(found.calibration_error_if_perfect)
    # the error of the mean of 20
    assert np.mean(shown) == pytest.approx(np.mean(foretold), abs=3 * np.std(shown) / np.sqrt(20))
    assert calibration_error_if_perfect(np.full(n, 0.8)) == calibration_error_if_perfect(np.full(n, 0.8))


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_finds_what_was_divided_by(true):
    logits, labels = drawn(20_000)
    found = temperature(true * logits, labels)
    assert found == pytest.approx(true, rel=0.05)

    def loss(t):
        return -log_softmax(true * logits / t, axis=1)[np.arange(len(labels)), labels].mean()

    assert loss(found) <= min(loss(0.99 * found), loss(1.01 * found), loss(true)) + 1e-12


def test_temperature_of_what_is_always_right_or_always_wrong():
    assert temperature([[9.0, 0.0], [0.0, 9.0]], [0, 1]) < 0.5
    assert temperature([[9.0, 0.0], [0.0, 9.0]], [1, 0]) == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize("ties", [False, True])
def test_ood_figures_as_openood_computes_them(ties):
    rng = np.random.default_rng(3)
    known, unknown = rng.standard_normal(300), 1.5 + rng.standard_normal(170)
    if ties:
        known, unknown = known.round(1), unknown.round(1)
    found = ood_figures(known, unknown)
    is_ood, conf = np.repeat([0, 1], [300, 170]), -np.concatenate([known, unknown])
    fpr, tpr, _ = metrics.roc_curve(is_ood, -conf, drop_intermediate=False)
    p_in, r_in, _ = metrics.precision_recall_curve(1 - is_ood, conf)
    p_out, r_out, _ = metrics.precision_recall_curve(is_ood, -conf)
    assert found.auroc == pytest.approx(metrics.auc(fpr, tpr))
    assert found.aupr_in == pytest.approx(metrics.auc(r_in, p_in))
    assert found.aupr_out == pytest.approx(metrics.auc(r_out, p_out))
    assert found.fpr95 == pytest.approx(fpr[np.argmax(tpr >= 0.95)])


def test_ood_figures_at_the_ends():
    perfect = ood_figures([0.0, 1.0], [2.0, 3.0])
    assert (perfect.auroc, perfect.aupr_in, perfect.aupr_out, perfect.fpr95) == (1, 1, 1, 0)
    blind = ood_figures([1.0] * 30, [1.0] * 10)
    assert (blind.auroc, blind.fpr95) == (0.5, 1)


@pytest.mark.parametrize(
    ("labels", "shares", "told"),
    [
        ([0, 3], [[1, 0, 0]] * 2, "go from 0 to 3, but there are 3 classes"),
        ([0, -1], [[1, 0, 0]] * 2, "go from -1 to 0"),
        ([0.0], [[1, 0, 0]], "whole numbers"),
        ([], np.zeros((0, 3)), "one for each image"),
        ([0], [[1, 0]], r"shape \(1, 2\); give \[1, 3\]"),
        ([0, 1], [[1, 0, 0]], r"give \[2, 3\]"),
        ([0], [[0.5, 0.2, 0.2]], "do not add up to 1"),
        ([0], [[1.2, -0.2, 0.0]], "negative"),
        ([0], [[np.nan, 0, 1]], "NaN or infinite"),
    ],
)
def test_bad_input(labels, shares, told):
    with pytest.raises(InputError, match=told):
        classification_figures(labels, shares, NAMES)


def test_bad_input_of_the_others():
    with pytest.raises(InputError, match="2 rows of logits and 1 labels"):
        temperature([[1.0, 2.0]] * 2, [0])
    with pytest.raises(InputError, match="at least one anomalous image"):
        ood_figures([1.0], [])
    with pytest.raises(InputError, match="NaN or infinite"):
        ood_figures([1.0], [np.inf])

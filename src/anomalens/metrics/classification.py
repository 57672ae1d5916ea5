"""Figures of a classifier: what it gets right, how far its confidence can be believed, and whether it knows
what it does not know.

Probabilities are real [n, c] with rows that add up to 1; labels int [n] are places among c class names. The
predicted class of an image is that of its largest probability, the first of equal ones, and its confidence
is that probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalens.errors import InputError
from anomalens.metrics.ranking import auroc, checked, fpr_at_tpr, precision_recall_curve

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]

BINS: Final = 15
_SIMULATIONS: Final = 200
_SEED: Final = 0
_COLDEST, _HOTTEST = 0.05, 20.0
_SUM_TOLERANCE: Final = 1e-3  # float16 probabilities of a thousand classes still pass


@dataclass(frozen=True)
class ClassFigures:
    """One class.

    Attributes
    ----------
    name : str
    n : int
        Its images.
    precision : float or None
        TP / (TP + FP); None where it was never predicted.
    recall : float or None
        TP / n; None without images.
    f1 : float or None
        2 TP / (2 TP + FP + FN); None without images.
    """

    name: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence is above `low` and at most `high`.

    Attributes
    ----------
    n : int
    confidence, accuracy : float or None
        Their mean confidence, and the share that is right; None where there are none.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Classification:
    """What a classifier is worth on images of known classes.

    Attributes
    ----------
    accuracy : float
    macro_f1 : float
        Mean F1 of the classes that have images.
    per_class : tuple of ClassFigures
    confusion : tuple of tuple of int
        [c][c]: rows are the true classes, columns the predicted ones.
    calibration_error : float
        See `calibration_error`.
    calibration_error_if_perfect : float
        What a classifier of these confidences would show on as many images if it were right exactly as often
        as it says: no smaller error can be told from none.
    reliability : tuple of ReliabilityBin
        The bins of the calibration error.
    """

    accuracy: float
    macro_f1: float
    per_class: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float
    calibration_error_if_perfect: float
    reliability: tuple[ReliabilityBin, ...]


def classification_figures(
    labels: ArrayLike, probabilities: ArrayLike, names: Sequence[str]
) -> Classification:
    """Accuracy, F1, confusion and calibration.

    Parameters
    ----------
    labels : int [n]
        Places in `names`; at least one image.
    probabilities : real [n, c]
    names : sequence of str, c
        At least two.

    Raises
    ------
    InputError
        Shapes that do not fit, labels that are no places in `names`, or rows that are no probabilities.
    """
    truth, shares = checked_labels(labels, len(names)), checked_probabilities(probabilities)
    if shares.shape != (len(truth), len(names)):
        raise InputError(
            f"The probabilities have shape {shares.shape}; give [{len(truth)}, {len(names)}], one row for "
            "each label and one column for each class name."
        )
    predicted, confidence = shares.argmax(axis=1), shares.max(axis=1)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    per_class = tuple(_class_figures(name, counts, k) for k, name in enumerate(names))
    right = predicted == truth
    return Classification(
        accuracy=float(right.mean()),
        macro_f1=float(np.mean([one.f1 for one in per_class if one.f1 is not None])),
        per_class=per_class,
        confusion=tuple(map(tuple, counts.tolist())),
        calibration_error=calibration_error(confidence, right),
        calibration_error_if_perfect=calibration_error_if_perfect(confidence),
        reliability=_reliability(confidence, right),
    )


def calibration_error(confidence: Probabilities, right: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Expected calibration error: Σ_b (n_b / n) |share that is right − mean confidence| over equal bins.

    Guo et al. 2017 (arXiv:1706.04599), with their 15 bins (low, high].

    Parameters
    ----------
    confidence : float64 [n], 0 to 1
    right : bool [n]
    """
    gaps = np.bincount(_bin_of(confidence, bins), right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def calibration_error_if_perfect(confidence: Probabilities, *, bins: int = BINS) -> float:
    """The mean `calibration_error` where each image is right with the probability of its confidence.

    Simulated 200 times with a fixed seed. It is above 0 because a bin's images are few.
    """
    rng = np.random.default_rng(_SEED)
    drawn = (rng.random(len(confidence)) < confidence for _ in range(_SIMULATIONS))
    return float(np.mean([calibration_error(confidence, right, bins=bins) for right in drawn]))


def temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T whose softmax(logits / T) gives the labels the largest likelihood.

    Guo et al. 2017, by a search of one dimension between 0.05 and 20; logits that are all right by
    far have no best temperature and get a low one. Fit it on images that the classifier did not learn from.

    Parameters
    ----------
    logits : real [n, c]
    labels : int [n], 0 to c − 1

    Raises
    ------
    InputError
        Shapes that do not fit, or values that are not finite.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    z = _checked_matrix(logits, "logits")
    truth = checked_labels(labels, z.shape[1])
    if len(truth) != len(z):
        raise InputError(
            f"There are {len(z)} rows of logits and {len(truth)} labels; give one for each image."
        )
    of_label = z[np.arange(len(z)), truth]

    def loss(log_t: float) -> float:
        cooled = np.exp(-log_t)
        return float(np.mean(logsumexp(z * cooled, axis=1) - of_label * cooled))

    # convex in 1 / T, so that there is one minimum
    found = minimize_scalar(
        loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))


@dataclass(frozen=True)
class OodFigures:
    """How well a score tells images of unknown classes from those of known ones, as OpenOOD has it.

    Attributes
    ----------
    auroc : float
        P(unknown scores higher) + ½ P(equal).
    aupr_in : float
        Area under the precision-recall curve with the known images as positives, least strange first.
    aupr_out : float
        The same with the unknown images as positives, strangest first.
    fpr95 : float
        Share of the known images that are flagged where 95 % of the unknown ones are.

    Both areas are of straight lines between the curve's points, as OpenOOD 1.5 computes them (and not
    average precision), and depend on how many images of either kind there are: a score that says nothing
    has the share of the positives.
    """

    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float


def ood_figures(known: ArrayLike, unknown: ArrayLike) -> OodFigures:
    """The figures of scores of known images, real [n], and of unknown ones, real [m]; higher is stranger.

    Raises
    ------
    InputError
        No images of either kind, or scores that are not finite.
    """
    normal, strange = np.atleast_1d(known), np.atleast_1d(unknown)
    scores, labels = checked(
        np.concatenate([normal, strange]), np.repeat([False, True], [len(normal), len(strange)])
    )
    return OodFigures(
        auroc=auroc(normal, strange),
        aupr_in=_area(-scores, ~labels),
        aupr_out=_area(scores, labels),
        fpr95=fpr_at_tpr(scores, labels, tpr=0.95),
    )


def _area(scores: Probabilities, positive: NDArray[np.bool_]) -> float:
    precision, recall, _ = precision_recall_curve(scores, positive)
    return float(np.dot(np.diff(recall), (precision[1:] + precision[:-1]) / 2))


def _class_figures(name: str, counts: NDArray[np.int64], k: int) -> ClassFigures:
    n, taken, hits = int(counts[k].sum()), int(counts[:, k].sum()), int(counts[k, k])
    return ClassFigures(
        name,
        n,
        precision=hits / taken if taken else None,
        recall=hits / n if n else None,
        f1=2 * hits / (n + taken) if n else None,
    )


def _bin_of(confidence: Probabilities, bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _reliability(confidence: Probabilities, right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    places, found = _bin_of(confidence, BINS), []
    for i in range(BINS):
        inside = places == i
        there = bool(inside.any())
        found.append(
            ReliabilityBin(
                low=i / BINS,
                high=(i + 1) / BINS,
                n=int(inside.sum()),
                confidence=float(confidence[inside].mean()) if there else None,
                accuracy=float(right[inside].mean()) if there else None,
            )
        )
    return tuple(found)


def checked_labels(labels: ArrayLike, n_classes: int) -> Labels:
    """Labels as int64 [n], or an InputError where they are no places among so many classes."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise InputError(
            f"The labels are {array.dtype} of shape {array.shape}; give whole numbers in a flat array, one "
            "for each image."
        )
    if array.min() < 0 or array.max() >= n_classes:
        raise InputError(
            f"The labels go from {array.min()} to {array.max()}, but there are {n_classes} classes; labels "
            "must be their places, from 0."
        )
    return array.astype(np.int64)


def checked_probabilities(probabilities: ArrayLike) -> Probabilities:
    """Probabilities as float64 [n, c], or an InputError where rows do not add up to 1."""
    shares = _checked_matrix(probabilities, "probabilities")
    if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise InputError(
            "The probabilities have rows that are negative or do not add up to 1; give the softmax of logits."
        )
    return np.minimum(shares, 1.0)


def _checked_matrix(values: ArrayLike, what: str) -> Probabilities:
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[0] == 0 or array.shape[1] < 2 or array.dtype.kind not in "fiu":
        raise InputError(
            f"The {what} are {array.dtype} of shape {array.shape}; give real numbers [n, c], a row for each "
            "image and a column for each of at least two classes."
        )
    if not np.isfinite(array).all():
        raise InputError(f"Some {what} are NaN or infinite; leave out the images that could not be read.")
    return array.astype(np.float64)

"""Ranking figures of raw image scores.

One convention everywhere: `scores` is real [n], higher means more anomalous; `labels` is bool [n], True
for an anomalous image. A threshold t stands for the rule "flag where score ≥ t", as in scikit-learn;
images of equal score are always flagged together, so the order of the images never matters.

What is undefined is never a number: where a class is missing, these functions raise `InputError`. Equal
scores for all are no error: AUROC 0.5, average precision the share of anomalous images.

Everything follows from integer counts of true and false positives at each distinct score. Scores are
only compared, never added or subtracted, which makes the figures exact for subnormal and huge scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalens.errors import InputError, SettingError

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


def checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Scores, Labels]:
    """Scores and labels as arrays that can be worked with.

    Parameters
    ----------
    scores : real [n], finite
    labels : bool [n]

    Returns
    -------
    scores : float64 [n]
    labels : bool [n]

    Raises
    ------
    InputError
        No images, other shapes, lengths that differ, labels that are not bool, NaN or infinite scores.
    """
    values = np.asarray(scores)
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"The scores have shape {values.shape}; give one for each image, at least one.")
    if values.dtype.kind not in "fiu":
        raise InputError(f"The scores are {values.dtype}; give real numbers, one for each image.")
    values = values.astype(np.float64)
    truth = checked_flags(labels, "labels", "anomalous", len(values))
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(values)} scores are NaN or infinite, the first at place {bad[0]} (counting "
            "from 0); leave out the images that could not be scored and count them."
        )
    return values, truth


def checked_flags(flags: ArrayLike, what: str, meaning: str, n: int | None = None) -> Labels:
    """Flags as bool [n]; `what` and `meaning` name them in the InputError for anything else."""
    array = np.asarray(flags)
    if array.ndim != 1 or array.size == 0 or array.size != (array.size if n is None else n):
        wanted = "at least one flag" if n is None else f"{n}, one for each score"
        raise InputError(f"The {what} have shape {array.shape}; give {wanted}, in a flat array.")
    if array.dtype != np.bool_:
        raise InputError(f"The {what} are {array.dtype}; give bool, True where the image is {meaning}.")
    return array


def checked_confidence(confidence: float) -> float:
    """The confidence level itself, or a SettingError where it is not strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise SettingError(f"The confidence was given as {confidence}; give a number between 0 and 1.")
    return confidence


def missing_class(labels: Labels) -> str:
    """One sentence where a ranking figure is undefined, else empty."""
    if labels.all() or not labels.any():
        there, missing = ("anomalous", "normal") if labels[0] else ("normal", "anomalous")
        return (
            f"All {len(labels)} labels are {there}; figures that compare the classes need at least one "
            f"{missing} image."
        )
    return ""


def _levels(scores: ArrayLike, labels: ArrayLike) -> tuple[Scores, NDArray[np.int64], NDArray[np.int64]]:
    """The distinct scores, descending, and how many anomalous and normal images score at least that."""
    values, truth = checked(scores, labels)
    if problem := missing_class(truth):
        raise InputError(problem)
    order = np.argsort(-values)
    values, truth = values[order], truth[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    tp = np.cumsum(truth, dtype=np.int64)[last]
    return values[last], tp, last + 1 - tp


def image_auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: P(anomalous scores higher) + ½ P(equal), over all pairs.

    Computed from the integer Mann–Whitney statistic, so that it is correctly rounded.

    Parameters
    ----------
    scores : real [n]
    labels : bool [n]

    Returns
    -------
    float in [0, 1]; 0.5 where all scores are equal

    Raises
    ------
    InputError
        See `checked`; or only one class.
    """
    _, tp, fp = _levels(scores, labels)
    positives, negatives = int(tp[-1]), int(fp[-1])
    below = (negatives - fp) + (negatives - np.concatenate([[0], fp[:-1]]))  # twice, halves for ties
    return int(np.dot(np.diff(tp, prepend=0), below)) / (2 * positives * negatives)


def auroc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """`image_auroc` of two groups of scores, real [n] and [m]; raises as that does."""
    labels = np.repeat([False, True], [np.size(normal), np.size(anomalous)])
    return image_auroc(np.concatenate([np.asarray(normal), np.asarray(anomalous)]), labels)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision, AP = Σ (R_k − R_{k−1}) P_k over the distinct scores, without interpolation.

    Parameters and errors as `image_auroc`. The value of a constant score is the share of anomalous images.
    """
    _, tp, fp = _levels(scores, labels)
    return float(np.dot(np.diff(tp, prepend=0), tp / (tp + fp)) / tp[-1])


def f1_max(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """The largest F1 = 2 TP / (2 TP + FP + FN) of all thresholds, chosen with the labels in sight.

    Parameters and errors as `image_auroc`.

    Returns
    -------
    f1 : float in (0, 1]
    threshold : float
        The highest score that reaches it, under the rule score ≥ threshold: the fewest images flagged.
    """
    values, tp, fp = _levels(scores, labels)
    f1 = 2 * tp / (tp[-1] + tp + fp)
    best = int(np.argmax(f1))
    return float(f1[best]), float(values[best])


def fpr_at_tpr(scores: ArrayLike, labels: ArrayLike, *, tpr: float = 0.95) -> float:
    """The smallest false-positive rate among the thresholds whose true-positive rate is at least `tpr`.

    No interpolation between thresholds: the value belongs to a rule that can be used.

    Parameters
    ----------
    scores : real [n]
    labels : bool [n]
    tpr : float in (0, 1]

    Raises
    ------
    InputError
        See `image_auroc`.
    SettingError
        A `tpr` out of range.
    """
    if not 0 < tpr <= 1:
        raise SettingError(f"The true-positive rate was given as {tpr}; give a number above 0, at most 1.")
    _, tp, fp = _levels(scores, labels)
    return float(fp[np.argmax(tp / tp[-1] >= tpr)] / fp[-1])


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[Scores, Scores, Scores]:
    """The ROC curve, one point for each distinct score, ties merged, none dropped.

    Parameters and errors as `image_auroc`.

    Returns
    -------
    fpr, tpr : float64 [k + 1], ascending from (0, 0) to (1, 1)
    thresholds : float64 [k + 1], descending; the first is inf (nothing is flagged)
    """
    values, tp, fp = _levels(scores, labels)
    return _after(0.0, fp / fp[-1]), _after(0.0, tp / tp[-1]), _after(np.inf, values)


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[Scores, Scores, Scores]:
    """The precision-recall curve, one point for each distinct score, ties merged.

    Parameters and errors as `image_auroc`. Scikit-learn gives the same points in the opposite order.

    Returns
    -------
    precision : float64 [k + 1]
        The first is 1, by convention: nothing is flagged there.
    recall : float64 [k + 1], ascending from 0 to 1
    thresholds : float64 [k + 1], descending; the first is inf
    """
    values, tp, fp = _levels(scores, labels)
    return _after(1.0, tp / (tp + fp)), _after(0.0, tp / tp[-1]), _after(np.inf, values)


def _after(first: float, rest: Scores) -> Scores:
    return np.concatenate([[first], rest])

"""Figures of given verdicts: counts, shares and their exact intervals.

A calibrated `Threshold` flags where the score is *above* it; hand its verdicts over as they are. A ratio
of 0/0 is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from anomalens.errors import InputError
from anomalens.metrics.ranking import checked_confidence, checked_flags


@dataclass(frozen=True)
class Rate:
    """A share of images, with its exact interval.

    Attributes
    ----------
    count, total : int
    value : float or None
        count / total; None where total is 0, and the interval is then [0, 1].
    low, high : float
        Clopper–Pearson limits.
    confidence : float
    """

    count: int
    total: int
    value: float | None
    low: float
    high: float
    confidence: float


def clopper_pearson(count: int, total: int, *, confidence: float = 0.95) -> Rate:
    """A share with its exact binomial interval (Clopper & Pearson 1934), by quantiles of the beta law.

    Parameters
    ----------
    count, total : int, 0 ≤ count ≤ total
    confidence : float in (0, 1)
        The interval covers the true rate at least this often.

    Raises
    ------
    InputError
        Counts out of range.
    SettingError
        A confidence out of range.
    """
    from scipy.special import betaincinv

    if not 0 <= count <= total:
        raise InputError(f"{count} of {total} is no share; give a count from 0 to the total.")
    tail = (1 - checked_confidence(confidence)) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return Rate(count, total, count / total if total else None, low, high, confidence)


@dataclass(frozen=True)
class Confusion:
    """Images by truth and verdict: flagged is positive, anomalous is true."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True)
class VerdictFigures:
    """What given verdicts are worth.

    Attributes
    ----------
    accuracy : float
    precision : float or None
        TP / (TP + FP); None where nothing was flagged.
    recall : float or None
        TP / (TP + FN); None without anomalous images.
    f1 : float or None
        2 TP / (2 TP + FP + FN); None where nothing is anomalous and nothing was flagged.
    confusion : Confusion
    false_alarm_rate : Rate
        Share of normal images that were flagged.
    detection_rate : Rate
        Share of anomalous images that were flagged.
    """

    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    confusion: Confusion
    false_alarm_rate: Rate
    detection_rate: Rate


def verdict_figures(labels: ArrayLike, verdicts: ArrayLike, *, confidence: float = 0.95) -> VerdictFigures:
    """Accuracy, precision, recall, F1, confusion and the realised rates of given verdicts.

    Parameters
    ----------
    labels : bool [n], True = anomalous
    verdicts : bool [n], True = flagged
    confidence : float
        How sure the two exact intervals are, as a fraction.

    Raises
    ------
    InputError
        No images, lengths that differ, or anything but bool.
    """
    truth = checked_flags(labels, "labels", "anomalous")
    flagged = checked_flags(verdicts, "verdicts", "flagged", len(truth))
    tp, fp = int(np.sum(truth & flagged)), int(np.sum(~truth & flagged))
    fn = int(truth.sum()) - tp
    tn = len(truth) - tp - fp - fn
    return VerdictFigures(
        accuracy=(tp + tn) / len(truth),
        precision=tp / (tp + fp) if tp + fp else None,
        recall=tp / (tp + fn) if tp + fn else None,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
        confusion=Confusion(tp, fp, fn, tn),
        false_alarm_rate=clopper_pearson(fp, fp + tn, confidence=confidence),
        detection_rate=clopper_pearson(tp, tp + fn, confidence=confidence),
    )

"""How far a figure can be trusted, and whether two detectors differ.

Three sources of variation, kept apart: which images were tested (bootstrap, DeLong), and which seed the
detector had (mean ± sd). Resampling is stratified, anomalous and normal images apart, since a test set's
share of anomalies is a choice of whoever collected it and not a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, mean, stdev

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalens.errors import InputError, SettingError
from anomalens.metrics.ranking import Labels, Scores, checked, checked_confidence, image_auroc

_ROUNDING = 1e-12
Figure = Callable[[Scores, Labels], float]
Picks = NDArray[np.int64]
Wins = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A figure with its interval; `figure` itself is computed on all images, not the resamples' mean."""

    figure: float
    low: float
    high: float
    confidence: float
    n_resamples: int


def bootstrap_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    figure: Figure = image_auroc,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a figure by a stratified bootstrap (Efron & Tibshirani 1993, ch. 13).

    The same seed gives the same resamples for every figure, so intervals of one set are comparable.
    A figure of 1 or 0 has an interval with a width all the same; see `percentile_interval`.

    Parameters
    ----------
    scores : real [n]
    labels : bool [n], True = anomalous; both classes present
    figure : callable (scores float64 [n], labels bool [n]) -> float
        Called once for each resample; as many images of each class as there are in all.
    n_resamples : int ≥ 1
    confidence : float in (0, 1)
    seed : int

    Raises
    ------
    InputError
        Scores or labels that cannot be used, or one class only.
    SettingError
        `n_resamples` or `confidence` out of range.
    """
    values, truth = checked(scores, labels)
    whole = figure(values, truth)
    samples = [figure(values[drawn], truth[drawn]) for drawn in resamples(truth, n_resamples, seed)]
    counts = int(truth.sum()), int((~truth).sum())
    return percentile_interval(whole, samples, confidence, counts)


def resamples(labels: Labels, n_resamples: int, seed: int) -> Iterator[Picks]:
    """Places of the drawn images, one resample at a time: as many of each class as there are; int64 [n]."""
    if n_resamples < 1:
        raise SettingError(f"The number of resamples was given as {n_resamples}; give at least 1.")
    rng = np.random.default_rng(seed)
    classes = [places for places in (np.flatnonzero(labels), np.flatnonzero(~labels)) if len(places)]
    for _ in range(n_resamples):
        yield np.concatenate([places[rng.integers(len(places), size=len(places))] for places in classes])


def percentile_interval(
    whole: float, samples: ArrayLike, confidence: float, counts: tuple[int, int]
) -> Interval:
    """The interval that leaves out the same share of `samples`, real [resamples], at both ends.

    Resamples of a perfect result are perfect all, and "1.000 to 1.000" promises what so many images cannot:
    of a figure of 1 the lower end is that of `newcombe`, of 0 the upper one. `counts` are the anomalous and
    the normal images.
    """
    tail = (1 - checked_confidence(confidence)) / 2
    low, high = (float(end) for end in np.quantile(np.asarray(samples), [tail, 1 - tail]))
    if whole > 1 - _ROUNDING:
        low = min(low, newcombe(1.0, *counts, confidence)[0])
    if whole < _ROUNDING:
        high = max(high, newcombe(0.0, *counts, confidence)[1])
    return Interval(whole, low, high, confidence, np.size(samples))


def newcombe(auroc: float, n_anomalous: int, n_normal: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of an AUROC that stays honest at 0 and 1 (Newcombe 2006, part 2, method 5).

    Both ends solve |auroc − a| = z √V(a), with V of pairs of exponentially distributed scores:
    V(a) = a (1 − a) [1 + (N − 1) ((1 − a)/(2 − a) + a/(1 + a))] / (m n), N = (m + n)/2.
    """
    z, size = NormalDist().inv_cdf(0.5 + confidence / 2), (n_anomalous + n_normal) / 2

    def outside(a: float) -> bool:
        spread = 1 + (size - 1) * ((1 - a) / (2 - a) + a / (1 + a))
        return (auroc - a) ** 2 > z**2 * a * (1 - a) * spread / (n_anomalous * n_normal)

    ends = []
    for far in (0.0, 1.0):
        near, out = auroc, far
        for _ in range(60):
            middle = (near + out) / 2
            near, out = (near, middle) if outside(middle) else (middle, out)
        ends.append(out if outside(far) or auroc != far else far)
    return ends[0], ends[1]


@dataclass(frozen=True)
class DeLong:
    """Two detectors' AUROCs compared on the same images.

    Attributes
    ----------
    auroc_a, auroc_b : float
    difference : float
        auroc_a − auroc_b.
    standard_error : float
        The difference's; 0 where the data show no variation of it.
    z, p : float
        Two-sided. With a standard error of 0: z = 0, p = 1 where the AUROCs are equal, else z = ±inf, p = 0.
    low, high : float
        Interval of the difference, cut to [-1, 1].
    confidence : float
    """

    auroc_a: float
    auroc_b: float
    difference: float
    standard_error: float
    z: float
    p: float
    low: float
    high: float
    confidence: float


def delong_test(
    scores_a: ArrayLike, scores_b: ArrayLike, labels: ArrayLike, *, confidence: float = 0.95
) -> DeLong:
    """DeLong's test for two correlated AUROCs (DeLong, DeLong & Clarke-Pearson 1988).

    The structural components come from midranks in O(n log n) (Sun & Xu 2014, eqs. 4–6). The variance is
    taken of the components' differences rather than from the covariance matrix: the same number, but
    exactly 0 for two detectors that rank alike.

    Parameters
    ----------
    scores_a, scores_b : real [n]
        Scores of the same images, in the same order; their scales need not agree.
    labels : bool [n], True = anomalous; at least two of each class
    confidence : float in (0, 1)

    Raises
    ------
    InputError
        Scores or labels that cannot be used, or fewer than two images of a class.
    SettingError
        A confidence out of range.
    """
    a, truth = checked(scores_a, labels)
    b, _ = checked(scores_b, labels)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if min(positives, negatives) < 2:
        raise InputError(
            f"DeLong's test was given {positives} anomalous and {negatives} normal images; it needs at "
            "least two of each to estimate a variance."
        )
    positive_a, negative_a = _components(a, truth)
    positive_b, negative_b = _components(b, truth)
    auroc_a, auroc_b = image_auroc(a, truth), image_auroc(b, truth)
    difference = auroc_a - auroc_b
    by_positives = _variance(positive_a - positive_b) / positives / (2 * negatives) ** 2
    by_negatives = _variance(negative_a - negative_b) / negatives / (2 * positives) ** 2
    error = math.sqrt(by_positives + by_negatives)
    without_variation = math.copysign(math.inf, difference) if difference else 0.0
    z = difference / error if error > 0 else without_variation
    reach = NormalDist().inv_cdf((1 + checked_confidence(confidence)) / 2) * error
    return DeLong(
        auroc_a,
        auroc_b,
        difference,
        error,
        z,
        math.erfc(abs(z) / math.sqrt(2)),
        max(-1.0, difference - reach),
        min(1.0, difference + reach),
        confidence,
    )


def _components(scores: Scores, labels: Labels) -> tuple[Wins, Wins]:
    """For each anomalous image the normal ones below it, for each normal one the anomalous ones above it.

    In half wins (a tie counts one, a win two), so that equal components are equal to the last bit.
    """
    ranks = _doubled_midranks(scores)
    positive = ranks[labels] - _doubled_midranks(scores[labels])
    negative = 2 * int(labels.sum()) - (ranks[~labels] - _doubled_midranks(scores[~labels]))
    return positive, negative


def _variance(wins: Wins) -> float:
    return float(np.var(wins - wins[0], ddof=1))  # shifted, so that equal numbers vary by exactly 0


def _doubled_midranks(values: Scores) -> Wins:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((2 * last - count + 1)[place], np.int64)


@dataclass(frozen=True)
class OverSeeds:
    """Mean and standard deviation (n − 1 in the denominator; None for one seed) of a figure over seeds."""

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.sd is None else f"{self.mean:.3f} ± {self.sd:.3f}"


def over_seeds(figures: Sequence[float]) -> OverSeeds:
    """Summarise one figure of runs that differ only in their seed.

    Parameters
    ----------
    figures : sequence of float, one for each seed

    Raises
    ------
    InputError
        No figures, or one that is NaN or infinite: a failed run must be counted, not averaged.
    """
    if not figures or not all(math.isfinite(x) for x in figures):
        raise InputError(
            f"A mean over seeds was asked of {list(figures)}; give the figures of the runs that succeeded, "
            "at least one."
        )
    return OverSeeds(mean(figures), stdev(figures) if len(figures) > 1 else None, len(figures))

"""A common scale for scores of different detectors: minus log₁₀ of the share of normal images above.

Empirical p-values end at 1/(n+1): every score beyond the largest normal one would tie, and those are the
scores that matter. Here the share above is interpolated between order statistics in the body and continued
as an exponential tail, whose mean excess is estimated from the largest normal scores (the generalised
Pareto tail of shape 0; Pickands 1975, Coles 2001 ch. 4). So the scale is continuous, strictly increasing
and unbounded, and 2 means "one normal image in a hundred scores this high".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalens.errors import SettingError

Floats = NDArray[np.float64]

TAIL_SHARE: Final = 0.1  # of the normal scores belong to the tail,
TAIL_SCORES: Final = 20  # but no fewer than this many, where there are twice as many
_KNOTS: Final = 64
_LARGEST: Final = 1e30  # products of two such numbers stay finite
_LN10: Final = float(np.log(10))


@dataclass(frozen=True)
class TailScale:
    """Piecewise linear, strictly increasing: scores at knots, their place on the scale, slopes beyond.

    Attributes
    ----------
    scores, values : float64 [k], k ≥ 1
        Strictly increasing both.
    below, above : float
        Slopes before the first and after the last knot, in units of the scale per score.
    """

    scores: Floats
    values: Floats
    below: float
    above: float

    @classmethod
    def fit(cls, normal: ArrayLike) -> TailScale:
        """Learn the scale from scores of normal images that the scored model did not learn from.

        Parameters
        ----------
        normal : float [n], n ≥ 2

        Raises
        ------
        SettingError
            Fewer than two scores, or one that is not a finite number.
        """
        x = np.sort(np.asarray(normal, np.float64))
        if len(x) < 2 or not np.isfinite(x).all():
            raise SettingError(
                f"A tail scale needs two or more finite scores of normal images and was given {x.size}."
            )
        n = len(x)
        tail = min(n // 2, max(TAIL_SCORES, round(TAIL_SHARE * n)))
        start = n - tail - 1  # the tail begins at this order statistic
        # A spread of nothing at all still orders what is above: any positive unit does.
        least = max(1e-12, 1e-9 * float(np.abs(x).max()))
        excess = max(float((x[start + 1 :] - x[start]).mean()), least)
        places = np.unique(np.linspace(0, start, min(_KNOTS, start + 1)).round().astype(int))
        scores, first = np.unique(x[places], return_index=True)
        values = -np.log10((n - places[first] - 0.5) / n)
        above = 1 / (excess * _LN10)
        # Below the smallest score the order still counts, the distance hardly: the median's own slope.
        spread = max(float(x[n // 2] - x[0]), least)
        return cls(scores, values, 0.3 / spread, above)

    def __call__(self, scores: ArrayLike) -> Floats:
        """Place of each score on the scale; NaN stays NaN."""
        s = np.asarray(scores, np.float64)
        inside = np.interp(s, self.scores, self.values)
        low = np.minimum(s - self.scores[0], 0) * self.below
        high = np.maximum(s - self.scores[-1], 0) * self.above
        return np.asarray(inside + low + high, np.float64)

    def inverse(self, place: float) -> float:
        """The score at a place on the scale."""
        if place < self.values[0]:
            return float(self.scores[0] + (place - self.values[0]) / self.below)
        if place > self.values[-1]:
            return float(self.scores[-1] + (place - self.values[-1]) / self.above)
        return float(np.interp(place, self.values, self.scores))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "scores": self.scores.tolist(),
            "values": self.values.tolist(),
            "below": self.below,
            "above": self.above,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TailScale:
        """Read what `to_json` wrote; ValueError, KeyError or TypeError where that is damaged."""
        scores, values = (np.asarray(data[key], np.float64) for key in ("scores", "values"))
        below, above = float(data["below"]), float(data["above"])
        finite = np.isfinite(scores).all() and np.isfinite(values).all() and np.isfinite([below, above]).all()
        if scores.ndim != 1 or not len(scores) or scores.shape != values.shape or not finite:
            raise ValueError("a tail scale without knots of finite numbers")
        if max(np.abs(scores).max(), np.abs(values).max(), below, above) > _LARGEST:
            raise ValueError("a tail scale of numbers that are too large")
        if (np.diff(scores) <= 0).any() or (np.diff(values) <= 0).any() or below <= 0 or above <= 0:
            raise ValueError("a tail scale that does not ascend")
        return cls(scores, values, below, above)

"""How rare a score is beyond most normal scores: smoother than steps of 1 / (n + 1).

The highest third of the normal scores, and no more than thirty, is taken for the tail. Its excesses x over
the start u are modelled as exponential (the generalised Pareto tail of shape 0; Pickands 1975), of unknown
mean. With the prior 1/mean the predictive probability that a new excess is larger than x, after k excesses of
sum S, is (1 + x/S)⁻ᵏ (Aitchison & Dunsmore 1975, ch. 2): a Pareto tail that is heavier the fewer scores it
rests on. So

    p(s) = k / (n + 1) · (1 + (s − u) / S)⁻ᵏ,   s > u.

Compared with other rules on draws of 16 to 200 normal scores (benchmarks/verdicts.md): with 16 and 30 scores
the realised rate is nearest to the asked one, with more it is on the careful side at 0.01. One odd image no
longer sets the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

SHARE: Final = 1 / 3
MOST: Final = 30
_AT_LEAST: Final = 5  # scores, or half of them where there are fewer than ten
_LEAST_COUNT: Final = 3.0
_LARGEST: Final = 1e30
_RAREST: Final = 1e-9  # a p-value is never nothing


@dataclass(frozen=True)
class PredictiveTail:
    """What is rarer than `share`.

    Attributes
    ----------
    start : float
        u, the score where it begins.
    total : float
        S, the sum of the excesses, as far as they are independent.
    count : float
        k, their number, likewise.
    share : float
        Share of new normal scores beyond `start`.
    """

    start: float
    total: float
    count: float
    share: float

    @classmethod
    def fit(cls, normal: NDArray[np.float64], n_groups: int | None = None) -> Self | None:
        """From normal scores [n], ascending, of so many independent groups; None where nothing scatters.

        Scores of one group are no independent witnesses: k and S shrink to the share that is, though not
        below three: scores of few groups still say how far normal ones reach.
        """
        n = len(normal)
        k = max(min(_AT_LEAST, n // 2), min(MOST, round(SHARE * n)))
        if n < 2 or k >= n:
            return None
        largest = float(np.abs(normal).max())
        if largest > _LARGEST:
            return None
        start = float(normal[n - k - 1])
        total = float((normal[n - k :] - start).sum())
        if not total > 1e-12 * max(1e-300, largest):
            return None
        independent = min(1.0, (n_groups or n) / n)
        count = max(min(k, _LEAST_COUNT), k * independent)
        return cls(start, total * count / k, count, k / (n + 1))

    def p_value(self, score: float) -> float:
        """The p-value of a score above `start`."""
        beyond = (score - self.start) / self.total
        return max(_RAREST, self.share * float((1 + beyond) ** -self.count))

    def score(self, rate: float) -> float:
        """The score whose p-value is this rate, which is below `share`."""
        return self.start + self.total * float((self.share / rate) ** (1 / self.count) - 1)

    def to_json(self) -> dict[str, float]:
        """Plain numbers."""
        return {"start": self.start, "total": self.total, "count": self.count, "share": self.share}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; ValueError, KeyError or TypeError where that is damaged."""
        found = cls(*(float(data[key]) for key in ("start", "total", "count", "share")))
        if not (abs(found.start) <= _LARGEST and 0 < found.total < 1e36 and 1 <= found.count < 1e9):
            raise ValueError("a tail of no finite numbers")
        if not 0 < found.share < 1:
            raise ValueError("a tail of no share")
        return found

"""Do p-values keep what they promise? Those of normal images that nothing has learnt from are uniform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import InputError
from anomalens.metrics.verdicts import Rate, clopper_pearson

RATES: Final = (0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class PValueAudit:
    """p-values of held-out normal images against the uniform distribution.

    Attributes
    ----------
    p_values : float64 [n], ascending
    distance : float
        The largest distance between their distribution and the uniform one (Kolmogorov and Smirnov).
    limit : float
        What 95 % of distances stay below where all is well: 1.36 √(1/n + 1/m), since the m calibration images
        are a sample too.
    rates : tuple of (float, Rate)
        A false-alarm rate that could be asked for, and the share of p-values not above it.
    """

    p_values: NDArray[np.float64]
    distance: float
    limit: float
    rates: tuple[tuple[float, Rate], ...]

    @classmethod
    def of(cls, p_values: Sequence[float], n_calibration: int) -> Self:
        """Compare with uniform.

        Raises
        ------
        InputError
            No p-value, one that is not from 0 to 1, or no calibration image.
        """
        p = np.sort(np.asarray(p_values, np.float64))
        n = len(p)
        if not n or n_calibration < 1 or not (p[0] >= 0 and p[-1] <= 1):
            raise InputError(
                f"An audit was given {n} p-values and {n_calibration} calibration images; it needs one of "
                "each at least, and p-values from 0 to 1."
            )
        above, below = np.arange(1, n + 1) / n - p, p - np.arange(n) / n
        limit = 1.36 * float(np.sqrt(1 / n + 1 / n_calibration))
        rates = tuple((rate, clopper_pearson(int((p <= rate).sum()), n)) for rate in RATES)
        return cls(p, float(max(above.max(), below.max())), limit, rates)

    @property
    def sentence(self) -> str:
        """What follows from the distance."""
        told = f"KS distance {self.distance:.3f}, limit {self.limit:.3f}, {len(self.p_values)} normal images"
        if self.distance <= self.limit:
            return f"The p-values are uniform as far as these images can tell ({told})."
        return f"The p-values are not uniform ({told}): false-alarm rates are not what was asked."

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a card."""
        rates = [{"asked": asked, **asdict(rate)} for asked, rate in self.rates]
        return {
            "n": len(self.p_values), "distance": self.distance, "limit": self.limit, "rates": rates,
        }  # fmt: skip

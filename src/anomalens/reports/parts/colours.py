"""Colours of anomaly maps: one ordered table, and the scale that one model's maps share.

The table runs from deep violet over red and orange to pale yellow, and its lightness rises all the
way, so the order survives every kind of colour blindness and a grey printer. Low values are
transparent: what looks normal keeps showing the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration import Calibration

# sRGB stations, chosen so that their CIE lightness rises in even steps from about 35 to 95: darker
# colours would drown in dark parts of a photograph.
_STATIONS: Final = (
    (110, 40, 175), (158, 45, 172), (203, 58, 144), (232, 84, 102),
    (246, 123, 62), (251, 164, 46), (252, 205, 78), (255, 244, 160),
)  # fmt: skip
_STEPS: Final = 256
_OPAQUE: Final = 0.78  # the strongest part still shows what is below it
_VEIL: Final = 0.45  # over what was not seen

_SHARES: Final = np.linspace(0, 1, _STEPS - 1)
UNSEEN: Final = 0
"""The level of parts that nobody looked at; 1 to 255 are shares from 0 to 1."""

TABLE: Final[NDArray[np.uint8]] = np.vstack(
    [
        (128, 128, 128),
        *np.rint([np.interp(7 * _SHARES, np.arange(8), stops) for stops in zip(*_STATIONS, strict=True)]).T,
    ]
).astype(np.uint8)
"""Colour of each level: uint8 [256, 3], sRGB."""
TABLE.flags.writeable = False

# rising fast at first, so that faint parts are seen at all
OPACITY: Final[NDArray[np.uint8]] = np.rint(
    255 * np.append(_VEIL, _OPAQUE * (1 - (1 - _SHARES) ** 3))
).astype(np.uint8)
"""Opacity of each level: uint8 [256]."""
OPACITY.flags.writeable = False


@dataclass(frozen=True)
class ColourScale:
    """Which map values are transparent and which are the table's last colour.

    Fixed per model, so that the same colour means the same in every picture of a report.

    Attributes
    ----------
    low : float
        Values up to here are transparent.
    high : float
        Values from here on have the last colour.
    """

    low: float
    high: float

    @classmethod
    def of(cls, calibration: Calibration) -> ColourScale | None:
        """The scale of one model: calm on normal images, saturated well above the threshold.

        Transparent up to the median of the normal maps' maxima. Saturated at twice the region
        threshold, or sooner where normal maxima lie so close together that nothing gets there.
        None for models without maps.
        """
        low, threshold = calibration.region_floor, calibration.region_threshold
        if low is None or threshold is None:
            return None
        threshold = max(threshold, low)
        spread = max(4 * (threshold - low), 0.1 * abs(threshold), 1e-6)
        # Scores of log-likelihood kind may be negative, and then "twice" means nothing.
        return cls(low, threshold + (min(spread, threshold) if threshold > 0 else spread))

    def levels(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Map values as 1 (low) to 255 (high); NaN counts as high, never as quiet."""
        clipped = np.clip(np.nan_to_num(values, nan=self.high), self.low, self.high)
        share = (clipped - self.low) / (self.high - self.low)
        return np.asarray(1 + np.rint(share * (_STEPS - 2)), np.uint8)

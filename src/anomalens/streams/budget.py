"""How high a smoothed score must be, for so many false events an hour of normal video.

Neighbouring frames are no independent witnesses: what was odd in one is odd in the next. So normal video is
cut into blocks of `BLOCK` seconds, and the highest smoothed score of each is what is normal for a block.
With r events an hour at most one block in 3600 / (r · BLOCK) may reach the threshold, which the tail of the
blocks' maxima says (`calibration/predictive_tail.py`), or where it lies beyond them extrapolates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from anomalens.calibration.predictive_tail import PredictiveTail
from anomalens.errors import ModelFileError, SettingError
from anomalens.streams.smoothing import PastAverage

BLOCK: Final = 2.0  # seconds; see docs/watch.md for how fast scores forget
_FEWEST: Final = 8  # blocks


@dataclass(frozen=True)
class NormalBlocks:
    """The highest smoothed score of each block of normal video.

    Attributes
    ----------
    maxima : tuple of float
    smoothing : float
        With which they were smoothed, in seconds.
    """

    maxima: tuple[float, ...]
    smoothing: float

    @classmethod
    def of(cls, clips: Sequence[Sequence[tuple[float, float]]], smoothing: float) -> Self:
        """From (seconds, score) of frames in order, clip by clip; a clip's last, shorter block counts too."""
        maxima: list[float] = []
        for clip in clips:
            average, highest, until = PastAverage(smoothing), None, None
            for seconds, score in clip:
                smooth = average.add(score, seconds)
                if until is None or seconds >= until:
                    if highest is not None:
                        maxima.append(highest)
                    highest, until = smooth, seconds + BLOCK
                highest = smooth if highest is None else max(highest, smooth)
            if highest is not None:
                maxima.append(highest)
        return cls(tuple(maxima), smoothing)

    @property
    def enough(self) -> bool:
        """Whether there are enough blocks for any budget."""
        return len(self.maxima) >= _FEWEST

    def supported(self, per_hour: float) -> float:
        """This budget, or the smallest that so many blocks have seen."""
        return max(per_hour, 3600 / BLOCK / (len(self.maxima) + 1))

    def threshold(self, per_hour: float) -> tuple[float, str]:
        """The smoothed score that normal video reaches so often, and in a sentence what that rests on.

        Raises
        ------
        SettingError
            There are fewer than eight blocks, or the budget is not above 0.
        """
        n = len(self.maxima)
        if not per_hour > 0:
            raise SettingError(
                f"A budget of {per_hour:g} events an hour leaves nothing to tell; give more than 0."
            )
        if n < _FEWEST:
            raise SettingError(
                f"{n} blocks of {BLOCK:g} s of normal video are too few for a budget; give {_FEWEST} or more."
            )
        share = min(0.5, per_hour * BLOCK / 3600)
        seen = n * BLOCK / 3600
        said = f"{n} blocks of {BLOCK:g} s of normal video ({60 * seen:.1f} minutes)"
        maxima = np.sort(np.array(self.maxima))
        tail = PredictiveTail.fit(maxima, n)
        if tail is None or share >= tail.share:
            return float(
                np.quantile(maxima, 1 - share)
            ), f"The budget of {per_hour:.3g} an hour rests on {said}."
        if share * (n + 1) < 1 - 1e-9:
            said += ", too few to have seen it: it is extrapolated from their highest scores"
        return tail.score(share), f"The budget of {per_hour:.3g} an hour rests on {said}."

    def to_json(self) -> dict[str, Any]:
        """For a model's card."""
        return {"maxima": list(self.maxima), "smoothing": self.smoothing}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote; ModelFileError for anything else."""
        try:
            maxima = tuple(float(value) for value in data["maxima"])
            smoothing = float(data["smoothing"])
            if not np.isfinite([*maxima, smoothing]).all():
                raise ValueError("not finite")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"The model's normal video cannot be read ({error}); fit it again."
            ) from None
        return cls(maxima, smoothing)

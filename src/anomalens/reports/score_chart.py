"""The scores of one check beside those of normal images, as an SVG that needs no script.

Bars: normal images of the calibration. Ticks below: the checked images, flagged ones in a row of
their own. Lengths are per cent of the width, so that text keeps its size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WIDE: Final = 1000  # units of the stretched inner drawings
_BARS: Final = 110  # px
_MAX_BINS: Final = 40


@dataclass(frozen=True)
class Axis:
    """The part of the line of scores that a chart shows."""

    low: float
    high: float

    @classmethod
    def around(cls, normal: NDArray[np.float64], checked: NDArray[np.float64], threshold: float) -> Axis:
        """From the lowest to the highest, but no outlier may squeeze the rest into a corner."""
        low, high = min(float(normal[0]), threshold), max(float(normal[-1]), threshold)
        spread = max(high - low, 1e-9 + 1e-3 * abs(high))
        if len(checked):
            low = max(min(low, float(checked.min())), low - 2 * spread)
            high = min(max(high, float(checked.max())), high + 4 * spread)
        pad = 0.03 * max(high - low, spread)
        return cls(low - pad, high + pad)

    def share(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    def per_cent(self, value: float) -> str:
        return f"{100 * float(self.share(np.array([value]))[0]):.2f}%"

    def ticks(self) -> list[float]:
        raw = (self.high - self.low) / 6
        power = 10 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [i * step for i in range(first, last + 1)]


def score_chart(
    normal: Sequence[float] | NDArray[np.float64],
    flagged: Sequence[float],
    unflagged: Sequence[float],
    threshold: float,
) -> str:
    """The chart as an `<svg>` element.

    Parameters
    ----------
    normal : scores of normal images, ascending
    flagged, unflagged : scores of the checked images
    threshold : float
    """
    ranks = np.asarray(normal, np.float64)
    axis = Axis.around(ranks, np.array([*flagged, *unflagged], np.float64), threshold)
    bars, top = _bars(ranks, axis)
    base = 22 + _BARS
    beyond = int(np.sum(np.array(flagged) > axis.high)) if len(flagged) else 0
    parts = [
        f'<svg class="chart" role="img" width="100%" height="{base + 74}" '
        f'aria-label="{_spoken(len(ranks), len(flagged), len(unflagged), threshold)}">',
        stretched(22, _BARS, f'<path class="bars" d="{bars}"/>'),
        f'<text class="soft" x="0" y="13">bars: {len(ranks)} normal images, tallest {top}</text>',
        f'<line class="axis" x1="0" x2="100%" y1="{base}" y2="{base}"/>',
        stretched(base + 4, 16, f'<path class="t-flagged" d="{_ticks(flagged, axis, 16)}"/>'),
        stretched(base + 22, 16, f'<path class="t-normal" d="{_ticks(unflagged, axis, 16)}"/>'),
        cut_line(axis, threshold, 20, base + 40),
        tick_labels(axis, base + 56),
    ]
    if beyond:
        parts.append(
            f'<text class="t-text" x="100%" y="{base - 6}" text-anchor="end">'
            f"{beyond} beyond, up to {max(flagged):.4g} →</text>"
        )
    parts.append(
        f'<text class="soft" x="50%" y="{base + 71}" text-anchor="middle">'
        "anomaly score (higher: less like the normal images)</text></svg>"
    )
    return "".join(parts)


def _bars(ranks: NDArray[np.float64], axis: Axis) -> tuple[str, int]:
    bins = min(_MAX_BINS, max(5, math.ceil(1.5 * math.sqrt(len(ranks)))))
    low, high = float(ranks[0]), float(ranks[-1])
    if high <= low:
        low, high = low - (axis.high - axis.low) / 80, high + (axis.high - axis.low) / 80
        bins = 1
    counts, edges = np.histogram(ranks, bins=bins, range=(low, high))
    places = _WIDE * axis.share(edges)
    tallest = int(counts.max())
    path = [
        f"M{x0:.1f} {_BARS}V{_BARS * (1 - count / tallest):.1f}H{max(x1 - 1, x0 + 1):.1f}V{_BARS}Z"
        for count, x0, x1 in zip(counts, places[:-1], places[1:], strict=True)
        if count
    ]
    return "".join(path), tallest


def _ticks(scores: Sequence[float], axis: Axis, height: int) -> str:
    # Thousands of images share few pixels: each place is drawn once.
    places = sorted({round(_WIDE * float(s)) for s in axis.share(np.array(scores, np.float64))})
    return "".join(f"M{x} 0V{height}" for x in places)


def cut_line(axis: Axis, threshold: float, top: int, bottom: int) -> str:
    """The threshold: a line, and its value beside the upper end, on the side that has room."""
    line = axis.per_cent(threshold)
    left_half = float(axis.share(np.array([threshold]))[0]) < 0.5
    anchor, nudge = ("start", 6) if left_half else ("end", -6)
    return (
        f'<line class="cut" x1="{line}" x2="{line}" y1="{top}" y2="{bottom}"/>'
        f'<text class="cut-text" x="{line}" y="{top + 12}" dx="{nudge}" text-anchor="{anchor}">'
        f"threshold {threshold:.4g}</text>"
    )


def tick_labels(axis: Axis, y: int) -> str:
    """The axis' values as texts that stay inside the picture."""
    parts = []
    for value in axis.ticks():
        share = float(axis.share(np.array([value]))[0])
        side = "start" if share < 0.04 else "end" if share > 0.96 else "middle"
        parts.append(
            f'<text class="soft" x="{axis.per_cent(value)}" y="{y}" text-anchor="{side}">{value:g}</text>'
        )
    return "".join(parts)


def stretched(y: int, height: int, content: str) -> str:
    """A drawing 1000 units wide over the whole width, which keeps its height."""
    return (
        f'<svg x="0" y="{y}" width="100%" height="{height}" viewBox="0 0 {_WIDE} {height}" '
        f'preserveAspectRatio="none">{content}</svg>'
    )


def _spoken(normal: int, flagged: int, unflagged: int, threshold: float) -> str:
    return escape(
        f"Histogram of the scores of {normal} normal images, the threshold at {threshold:.4g}, and "
        f"the scores of the checked images: {flagged} above it, {unflagged} not above it."
    )

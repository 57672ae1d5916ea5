"""Scores above and below one axis, with the threshold through both, as an SVG that needs no script.

Lengths are per cent of the width, so that text keeps its size on a phone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.reports.parts.as_html import escaped
from anomalens.reports.parts.document import Drawing
from anomalens.reports.parts.texts import counted
from anomalens.reports.parts.ticks import ticks

WIDE: Final = 1000  # units of the stretched inner drawings
TOP: Final = 20  # px above the upper drawing
_TALL: Final = 88  # px, of a histogram
_BINS: Final = 80
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """The part of the line of scores that a chart shows."""

    low: float
    high: float

    @classmethod
    def around(cls, normal: Scores, checked: Scores, threshold: float) -> Axis | None:
        """From the lowest to the highest, but no outlier may squeeze the rest into a corner.

        The normal scores ascend, and there is one at least. None where the length is no finite number.
        """
        low, high = min(float(normal[0]), threshold), max(float(normal[-1]), threshold)
        with np.errstate(over="ignore"):
            spread = max(high - low, 1e-9 + 1e-3 * abs(high))
            if len(checked):
                low = max(min(low, float(checked.min())), low - 2 * spread)
                high = min(max(high, float(checked.max())), high + 4 * spread)
            pad = 0.03 * max(high - low, spread)
        axis = cls(low - pad, high + pad)
        return axis if math.isfinite(axis.high - axis.low) else None

    def share(self, values: Scores) -> Scores:
        """Places of scores along the axis, 0 to 1; what is beyond is at its end."""
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    def per_cent(self, value: float) -> str:
        """The place of one score as a length."""
        return f"{100 * float(self.share(np.array([value]))[0]):.2f}%"


@dataclass(frozen=True)
class Half:
    """What lies above or below the axis: scores of what `noun` says, a line of text, and their drawing.

    The drawing is SVG, `WIDE` units wide and `height` px high.
    """

    scores: Scores
    noun: str
    text: str
    drawing: str
    height: int

    @classmethod
    def bars(cls, scores: Scores, noun: str, style: str, axis: Axis, *, upwards: bool) -> Self:
        """A histogram of scores, in a colour of the style sheet."""
        places = np.minimum((axis.share(scores) * _BINS).astype(int), _BINS - 1)
        counts: NDArray[np.int64] = np.bincount(places, minlength=_BINS)
        longest, wide = int(counts.max()), WIDE / _BINS
        path = "".join(
            f"M{i * wide:.1f} 0v{max(1.5, _TALL * count / longest):.1f}h{wide - 1.5:.1f}V0z"
            for i, count in enumerate(counts.tolist())
            if count
        )
        turned = f' transform="matrix(1 0 0 -1 0 {_TALL})"' if upwards else ""
        text = f"{counted(len(scores), noun)} (longest bar: {longest})" if len(scores) else f"no {noun}"
        return cls(scores, noun, text, f'<path class="{style}"{turned} d="{path}"/>', _TALL)

    def told(self, threshold: float | None) -> str:
        """What it shows, in words."""
        text = counted(len(self.scores), self.noun)
        if threshold is None:
            return text
        return f"{text}, {int(np.sum(self.scores > threshold))} above the threshold of {threshold:.4g}"


def score_chart(
    upper: Half,
    lower: Half,
    axis: Axis,
    threshold: float | None,
    *,
    caption: str = "",
    tinted: bool = False,
    below: str = "raw score (higher: less like the normal images)",
) -> Drawing:
    """The chart; `tinted` marks false alarms above and misses below, `below` is the axis' title."""
    middle = TOP + upper.height
    end = middle + 1 + lower.height
    beyond = np.concatenate([half.scores[half.scores > axis.high] for half in (upper, lower)])
    spoken = f"{caption or 'Scores'} over one axis: {upper.told(threshold)}; {lower.told(threshold)}."
    parts = [
        f'<svg class="chart" role="img" width="100%" height="{end + (72 if len(beyond) else 55)}" '
        f'aria-label="{escaped(spoken)}">',
        "" if threshold is None or not tinted else _tint(axis.per_cent(threshold), middle, end),
        *(
            f'<svg x="0" y="{y}" width="100%" height="{half.height}" viewBox="0 0 {WIDE} {half.height}" '
            f'preserveAspectRatio="none">{half.drawing}</svg>'
            for y, half in ((TOP, upper), (middle + 1, lower))
        ),
        f'<text x="0" y="13">{escaped(upper.text)}</text>'
        f'<text x="0" y="{end + 15}">{escaped(lower.text)}</text>'
        f'<line class="axis" x1="0" x2="100%" y1="{middle + 0.5}" y2="{middle + 0.5}"/>',
        "" if threshold is None else _cut(axis, threshold, end),
        _tick_labels(axis, end + 33),
        f'<text x="50%" y="{end + 50}" text-anchor="middle">{escaped(below)}</text>',
    ]
    if len(beyond):
        parts.append(
            f'<text x="100%" y="{end + 67}" text-anchor="end">{len(beyond)} beyond, up to '
            f"{float(beyond.max()):.4g} →</text>"
        )
    return Drawing("".join([*parts, "</svg>"]), spoken, caption, "scores")


def _tint(at: str, middle: int, end: int) -> str:
    return (
        f'<rect class="wrong alarms" x="{at}" width="{100 - float(at[:-1]):.2f}%" y="{TOP}" '
        f'height="{middle - TOP}"/><rect class="wrong misses" x="0" width="{at}" y="{middle + 1}" '
        f'height="{end - middle - 1}"/>'
    )


def _cut(axis: Axis, threshold: float, end: int) -> str:
    """The threshold: a line, and its value beside the upper end, on the side that has room."""
    line = axis.per_cent(threshold)
    anchor, nudge = ("start", 6) if float(line[:-1]) < 50 else ("end", -6)
    return (
        f'<line class="cut" x1="{line}" x2="{line}" y1="{TOP - 4}" y2="{end}"/>'
        f'<text class="cut-text" x="{line}" y="{TOP + 12}" dx="{nudge}" text-anchor="{anchor}">'
        f"threshold {threshold:.4g}</text>"
    )


def _tick_labels(axis: Axis, y: int) -> str:
    """The axis' values as texts that stay inside the picture."""
    parts = []
    for value, text in ticks(axis.low, axis.high, 6):
        share = float(axis.share(np.array([value]))[0])
        side = "start" if share < 0.04 else "end" if share > 0.96 else "middle"
        parts.append(f'<text x="{axis.per_cent(value)}" y="{y}" text-anchor="{side}">{text}</text>')
    return "".join(parts)

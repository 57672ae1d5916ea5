"""Lines in a square frame, with ticks and a legend, as small SVG drawings of our own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.reports.parts.as_html import escaped
from anomalens.reports.parts.document import Drawing, Words
from anomalens.reports.parts.ticks import ticks

Points = NDArray[np.float64]

SIDE: Final = 240
LEFT, TOP = 46, 10
WIDTH: Final = LEFT + SIDE + 14
COLOURS: Final = 6  # classes c0 to c5 of the style sheet
DASHES: Final = ("", "7 4", "2 4", "8 3 2 3")
_BASE: Final = TOP + SIDE
_LONGEST_LABEL: Final = 42  # characters that fit below the frame
_LONGEST_TICKS: Final = 36  # characters of all ticks below the frame together


@dataclass(frozen=True)
class Line:
    """One line of a chart; its points [n, 2] are in the units of the scales, its label is for the legend."""

    points: Points
    label: str = ""
    colour: int = 0
    dash: str = ""
    dotted: bool = False


@dataclass(frozen=True)
class Scale:
    """One side of the frame: its title, the values at its ends, and its ticks with their texts."""

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    @classmethod
    def over(cls, title: str, values: Points, *, pad: float = 0.0, top: float = math.inf) -> Self:
        """A scale over all values, with room of `pad` of its length at both ends, but none beyond `top`."""
        low, high = float(values.min()), float(values.max())
        room = pad * (high - low) if high > low else 0.05 * abs(high) or 1.0
        low, high = low - room, max(min(high + room, top), high)
        return cls(title, low, high, ticks(low, high, 5))

    @classmethod
    def of_names(cls, title: str, names: Sequence[str]) -> Self:
        """A scale with a name at each whole number from 0; of many, the first, middle and last are told."""
        shown: Sequence[int] = range(len(names))
        if sum(map(len, names)) > _LONGEST_TICKS:
            shown = sorted({0, (len(names) - 1) // 2, len(names) - 1})
        return cls(title, 0.0, max(len(names) - 1.0, 1.0), [(float(i), names[i][:16]) for i in shown])

    def place(self, values: Points) -> Points:
        """Where values lie between the ends, 0 to 1."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.nan_to_num((values - self.low) / (self.high - self.low))


def line_chart(
    lines: Sequence[Line],
    x: Scale,
    y: Scale,
    *,
    spoken: str,
    caption: Words,
    aside: Points | None = None,
    dot: str = "",
) -> Drawing:
    """A chart of lines, with a thin dashed line `aside` [n, 2] to compare with and one `dot` of `dot_at`."""
    labelled = [line for line in lines if line.label]
    parts = [
        f'<svg class="curve" role="img" viewBox="0 0 {WIDTH} {chart_height(len(labelled))}" '
        f'aria-label="{escaped(spoken)}"><rect class="frame" x="{LEFT}" y="{TOP}" width="{SIDE}" '
        f'height="{SIDE}"/>',
        _sides(x, y),
        "" if aside is None else f'<path class="aside" d="{_path(aside, x, y)}"/>',
        *(_drawn(line, x, y) for line in lines),
        dot,
    ]
    for i, line in enumerate(labelled):
        middle = _BASE + 42 + 15 * i
        short = line.label if len(line.label) <= _LONGEST_LABEL else f"{line.label[: _LONGEST_LABEL - 1]}…"
        parts.append(
            f'<g><title>{escaped(line.label)}</title><path {_look(line)} d="M8 {middle}h24"/>'
            f'<text x="38" y="{middle + 4}">{escaped(short)}</text></g>'
        )
    return Drawing("".join([*parts, "</svg>"]), spoken, caption)


def chart_height(n_labels: int) -> int:
    """Height of a chart with so many lines in its legend; all are `WIDTH` wide."""
    return _BASE + 36 + 15 * n_labels


def dot_at(name: str, x: float, y: float) -> str:
    """A dot in a unit square, that the page's script can find by its name."""
    at = f'cx="{LEFT + SIDE * x:.2f}" cy="{_BASE - SIDE * y:.2f}"'
    return f'<circle class="dot" data-dot="{name}" {at} r="4.5"/>'


def _look(line: Line) -> str:
    return f'class="line c{line.colour}" stroke-dasharray="{line.dash}"'


def _drawn(line: Line, x: Scale, y: Scale) -> str:
    dots = "".join(
        f'<circle class="dot" cx="{LEFT + SIDE * across:.1f}" cy="{_BASE - SIDE * up:.1f}" r="2.5"/>'
        for across, up in zip(x.place(line.points[:, 0]), y.place(line.points[:, 1]), strict=True)
        if line.dotted
    )
    return f'<path {_look(line)} d="{_path(line.points, x, y)}"/>{dots}'


def _sides(x: Scale, y: Scale) -> str:
    """Ticks and titles of both sides."""
    parts = [f'<text x="{LEFT + SIDE / 2}" y="{_BASE + 29}" text-anchor="middle">{escaped(x.title)}</text>']
    if y.title:
        parts.append(
            f'<text transform="translate(11 {TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">'
            f"{escaped(y.title)}</text>"
        )
    for value, text in x.ticks:
        share = float(x.place(np.array([value]))[0])
        side = "start" if share < 0.02 else "end" if share > 0.98 else "middle"
        across = LEFT + SIDE * share
        parts.append(f'<text x="{across:.1f}" y="{_BASE + 14}" text-anchor="{side}">{escaped(text)}</text>')
    for value, text in y.ticks:
        up = _BASE - SIDE * float(y.place(np.array([value]))[0])
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{up:.1f}" y2="{up:.1f}"/>'
            f'<text x="{LEFT - 4}" y="{up + 4:.1f}" text-anchor="end">{escaped(text)}</text>'
        )
    return "".join(parts)


def _path(points: Points, x: Scale, y: Scale) -> str:
    """A path on a grid of half a pixel.

    From each run of points in one column of pixels the first, lowest, highest and last are kept: it looks
    the same.
    """
    xs = np.rint(2 * SIDE * x.place(points[:, 0])).astype(int)
    ys = np.rint(2 * SIDE * (1 - y.place(points[:, 1]))).astype(int)
    starts = np.flatnonzero(np.diff(xs, prepend=xs[0] - 1))
    kept: list[int] = []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(xs)], strict=True):
        column = ys[start:end]
        kept += sorted({start, start + int(column.argmin()), start + int(column.argmax()), end - 1})
    return "M" + "L".join(f"{LEFT + xs[i] / 2:g} {TOP + ys[i] / 2:g}" for i in kept)

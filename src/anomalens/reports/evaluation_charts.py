"""Two histograms back to back over one axis of scores, with the threshold through both.

Above the axis one class, below it the other; what lies on the wrong side of the line is tinted. As in
`score_chart`, lengths are per cent of the width, so that text keeps its size on a phone. Without a
script it is a picture; `evaluation_script` moves the line where there is a slider.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.reports.evaluation_numbers import CardNumbers, Scores
from anomalens.reports.evaluation_texts import counted, per_cent
from anomalens.reports.score_chart import Axis, cut_line, stretched, tick_labels

STEPS: Final = 400
_WIDE: Final = 1000
_TALL: Final = 88  # px, of each histogram
_TOP: Final = 20
_BINS: Final = 60


@dataclass(frozen=True)
class Side:
    """One histogram: its scores ascending, what they are, the class of its colour."""

    scores: Scores
    noun: str
    colour: str


def live_chart(numbers: CardNumbers) -> str:
    """Normal against anomalous test scores, with a slider that moves the threshold, and the counts."""
    both = np.concatenate([numbers.normal, numbers.anomalous])
    threshold = numbers.card.threshold
    if threshold is None or not len(both):
        return ""
    axis = chart_axis(numbers.normal, both, threshold)
    if axis is None:
        return '<p class="soft">The scores lie too far apart to be drawn.</p>'
    data = _live_data(numbers, axis, threshold)
    chart = two_sided(
        Side(numbers.normal, "normal image", "b-normal"),
        Side(numbers.anomalous, "anomaly", "b-flagged"),
        axis,
        threshold,
        wrong=True,
    )
    alarms, misses, above = numbers.counts_above(threshold)
    n_calibration = len(numbers.calibration)
    guess = (numbers.card.calibration or {}).get("calibrated") is False
    expected = "expected on normal images" + (" (a guess: uncalibrated)" if guess else "")
    rate = (
        f'<div><dt>{expected}</dt><dd data-say="rate">'
        f"{per_cent((1 + above) / (n_calibration + 1))}</dd></div>"
        if n_calibration
        else ""
    )
    return (
        f'<div class="live" data-live="{escape(json.dumps(data, separators=(",", ":")))}">'
        f'<div class="stage">{chart}<input type="range" hidden min="0" max="{STEPS}" step="1" '
        'aria-label="Threshold"></div>'
        '<dl class="counts">'
        f'<div><dt>threshold</dt><dd data-say="cut">{threshold:.6g}</dd></div>'
        '<div class="c-flagged"><dt>false alarms</dt><dd data-say="alarms">'
        f'{share(alarms, len(numbers.normal))}</dd></div><div class="c-flagged"><dt>misses</dt>'
        '<dd data-say="misses">'
        f"{share(misses, len(numbers.anomalous))}</dd></div>{rate}</dl>"
        '<p class="soft hint" hidden>Drag the handle, or use the arrow keys. A threshold that is chosen '
        "here has seen the labels, so its figures flatter. "
        '<button type="button" disabled>Back to the calibrated threshold</button></p></div>'
    )


def calibration_chart(numbers: CardNumbers) -> str:
    """Calibration scores against normal test scores; empty where one of them is missing."""
    threshold = numbers.card.threshold
    if threshold is None or not len(numbers.calibration) or not len(numbers.normal):
        return ""
    axis = chart_axis(numbers.calibration, numbers.normal, threshold)
    if axis is None:
        return ""
    return two_sided(
        Side(numbers.calibration, "calibration image", "b-plain"),
        Side(numbers.normal, "normal test image", "b-normal"),
        axis,
        threshold,
    )


def chart_axis(main: Scores, others: Scores, threshold: float) -> Axis | None:
    """The axis; None where its length is no finite number."""
    with np.errstate(over="ignore"):
        axis = Axis.around(main if len(main) else others, others, threshold)
    return axis if math.isfinite(axis.high - axis.low) else None


def share(count: int, total: int) -> str:
    """`3 of 60 (5 %)`, as the script writes it too."""
    return f"{count} of {total} ({per_cent(count / total)})" if total else "none there"


def _live_data(numbers: CardNumbers, axis: Axis, threshold: float) -> dict[str, object]:
    stops = axis.low + (axis.high - axis.low) * np.arange(STEPS + 1) / STEPS
    counts = [numbers.counts_above(float(stop)) for stop in stops]
    return {
        "low": axis.low,
        "high": axis.high,
        "cut": threshold,
        "totals": [len(numbers.normal), len(numbers.anomalous), len(numbers.calibration)],
        "at": list(numbers.counts_above(threshold)),
        "alarms": [c[0] for c in counts],
        "misses": [c[1] for c in counts],
        "above": [c[2] for c in counts],
    }


def two_sided(upper: Side, lower: Side, axis: Axis, threshold: float | None, *, wrong: bool = False) -> str:
    """The chart as an `<svg>` element; `wrong` tints false alarms and misses."""
    middle = _TOP + _TALL
    end = middle + 1 + _TALL
    tinted = cut = ""
    if threshold is not None:
        at = 100 * float(axis.share(np.array([threshold]))[0])
        cut = cut_line(axis, threshold, _TOP - 4, end)
        if wrong:
            tinted = (
                f'<rect class="wrong alarms" x="{at:.2f}%" width="{100 - at:.2f}%" y="{_TOP}" '
                f'height="{_TALL}"/><rect class="wrong misses" x="0" width="{at:.2f}%" '
                f'y="{middle + 1}" height="{_TALL}"/>'
            )
    over, top = _bars(upper.scores, axis)
    under, bottom = _bars(lower.scores, axis)
    beyond = int(np.sum(lower.scores > axis.high) + np.sum(upper.scores > axis.high))
    highest = max((float(s[-1]) for s in (upper.scores, lower.scores) if len(s)), default=0.0)
    parts = [
        f'<svg class="chart two" role="img" width="100%" height="{end + 54}" '
        f'aria-label="{_spoken(upper, lower, threshold)}">',
        tinted,
        stretched(
            _TOP, _TALL, f'<path class="{upper.colour}" transform="matrix(1 0 0 -1 0 {_TALL})" d="{over}"/>'
        ),
        stretched(middle + 1, _TALL, f'<path class="{lower.colour}" d="{under}"/>'),
        f'<text class="soft" x="0" y="13">{_named(upper, top)}</text>',
        f'<text class="soft" x="0" y="{end + 15}">{_named(lower, bottom)}</text>',
        f'<line class="axis" x1="0" x2="100%" y1="{middle + 0.5}" y2="{middle + 0.5}"/>',
        cut,
        tick_labels(axis, end + 33),
    ]
    if beyond:
        parts.append(
            f'<text class="soft" x="100%" y="13" text-anchor="end">{beyond} beyond, up to '
            f"{highest:.4g} →</text>"
        )
    parts.append(
        f'<text class="soft" x="50%" y="{end + 50}" text-anchor="middle">raw score (higher: less like the '
        "normal images)</text></svg>"
    )
    return "".join(parts)


def _bars(scores: Scores, axis: Axis) -> tuple[str, int]:
    """Bars that hang from 0, and the count of the longest."""
    if not len(scores):
        return "", 0
    places = np.minimum((axis.share(scores) * _BINS).astype(int), _BINS - 1)
    counts: NDArray[np.int64] = np.bincount(places, minlength=_BINS)
    longest = int(counts.max())
    wide = _WIDE / _BINS
    path = [
        f"M{i * wide:.1f} 0v{max(1.5, _TALL * count / longest):.1f}h{wide - 1.5:.1f}V0z"
        for i, count in enumerate(counts.tolist())
        if count
    ]
    return "".join(path), longest


def _named(side: Side, longest: int) -> str:
    if not len(side.scores):
        return f"no {escape(side.noun)}"
    return f"{escape(counted(len(side.scores), side.noun))} (longest bar: {longest})"


def _spoken(upper: Side, lower: Side, threshold: float | None) -> str:
    parts = []
    for side in (upper, lower):
        text = counted(len(side.scores), side.noun)
        if threshold is not None:
            text += f", {int(np.sum(side.scores > threshold))} above the threshold of {threshold:.4g}"
        parts.append(text)
    return escape(f"Histograms of scores over one axis: {'; '.join(parts)}.")

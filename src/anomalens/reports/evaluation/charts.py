"""Scores of the test and of the calibration beside each other, and a threshold that can be moved.

Without a script it is a picture; `threshold.js` moves the line where there is a slider.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from typing import Final

import numpy as np

from anomalens.reports.evaluation.numbers import CardNumbers
from anomalens.reports.parts.document import Block, Paragraph
from anomalens.reports.parts.score_chart import Axis, Half, score_chart
from anomalens.reports.parts.texts import per_cent

STEPS: Final = 400


def live_chart(numbers: CardNumbers) -> Iterator[Block]:
    """Normal against anomalous test scores, with a slider that moves the threshold, and the counts."""
    both = np.concatenate([numbers.normal, numbers.anomalous])
    threshold = numbers.card.threshold
    if threshold is None or not len(both):
        return
    axis = Axis.around(numbers.normal if len(numbers.normal) else both, both, threshold)
    if axis is None:
        yield Paragraph("The scores lie too far apart to be drawn.", "soft")
        return
    normal = Half.bars(numbers.normal, "normal image", "b-normal", axis, upwards=True)
    anomalous = Half.bars(numbers.anomalous, "anomaly", "b-flagged", axis, upwards=False)
    chart = score_chart(normal, anomalous, axis, threshold, tinted=True)
    data = json.dumps(_live_data(numbers, axis, threshold), separators=(",", ":"))
    html = (
        f'<div class="live" data-live="{escape(data)}"><div class="stage">{chart.html}<input type="range" '
        f'hidden min="0" max="{STEPS}" step="1" aria-label="Threshold"></div>{_counts(numbers, threshold)}'
        '<p class="hint" hidden>Drag the handle, or use the arrow keys. A threshold that is chosen here has '
        'seen the labels, so its figures flatter. <button type="button" disabled>Back to the calibrated '
        "threshold</button><br>A model takes it with <code>anomalens calibrate FILE --threshold "
        f'<span data-say="given">{threshold!r}</span> --out FILE</code></p></div>'
    )
    yield replace(chart, html=html)


def calibration_chart(numbers: CardNumbers) -> Iterator[Block]:
    """Calibration scores against normal test scores; nothing where one of them is missing."""
    threshold = numbers.card.threshold
    if threshold is None or not len(numbers.calibration) or not len(numbers.normal):
        return
    axis = Axis.around(numbers.calibration, numbers.normal, threshold)
    if axis is not None:
        upper = Half.bars(numbers.calibration, "calibration image", "b-plain", axis, upwards=True)
        lower = Half.bars(numbers.normal, "normal test image", "b-normal", axis, upwards=False)
        yield score_chart(upper, lower, axis, threshold)


def _live_data(numbers: CardNumbers, axis: Axis, threshold: float) -> dict[str, object]:
    stops = axis.low + (axis.high - axis.low) * np.arange(STEPS + 1) / STEPS
    alarms, misses, above = zip(*(numbers.counts_above(float(stop)) for stop in stops), strict=True)
    return {
        "low": axis.low,
        "high": axis.high,
        "cut": threshold,
        "totals": [len(numbers.normal), len(numbers.anomalous), len(numbers.calibration)],
        "at": numbers.counts_above(threshold),
        "alarms": alarms,
        "misses": misses,
        "above": above,
    }


def _counts(numbers: CardNumbers, threshold: float) -> str:
    """The counts at the threshold, as the script writes them and where it finds them."""
    alarms, misses, above = numbers.counts_above(threshold)
    told = [("", "threshold", "cut", f"{threshold:.6g}")]
    for name, key, count, total in (
        ("false alarms", "alarms", alarms, len(numbers.normal)),
        ("misses", "misses", misses, len(numbers.anomalous)),
    ):
        share = f"{count} of {total} ({per_cent(count / total)})" if total else "none there"
        told.append(("c-flagged", name, key, share))
    if len(numbers.calibration):
        guess = (numbers.card.calibration or {}).get("calibrated") is False
        expected = "expected on normal images" + (" (a guess: uncalibrated)" if guess else "")
        told.append(("", expected, "rate", per_cent((1 + above) / (len(numbers.calibration) + 1))))
    inside = "".join(
        f'<div class="{style}"><dt>{name}</dt><dd data-say="{key}">{text}</dd></div>'
        for style, name, key, text in told
    )
    return f'<dl class="counts">{inside}</dl>'

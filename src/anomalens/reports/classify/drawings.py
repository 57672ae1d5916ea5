"""The drawings of a classifier's page: confusion matrix, reliability, ROC curves, histograms of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.metrics.ranking import roc_curve
from anomalens.metrics.verdicts import clopper_pearson
from anomalens.reports.classify.numbers import Scores, SetScores
from anomalens.reports.parts.as_html import escaped
from anomalens.reports.parts.document import Block, Drawing, Paragraph
from anomalens.reports.parts.line_chart import COLOURS, DASHES, LEFT, SIDE, TOP, Line, Scale, line_chart
from anomalens.reports.parts.score_chart import Axis, Half, score_chart
from anomalens.reports.parts.texts import counted, per_cent

MAX_DRAWN: Final = 60  # classes of a matrix
_WITH_NUMBERS: Final = 20
_CELL, _LABELS = 30, 100
_LONGEST: Final = 14
_HALVES: Final = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def confusion_drawing(names: Sequence[str], counts: NDArray[np.int64]) -> Drawing:
    """The matrix as squares, each filled by its share of the true class."""
    c, numbered = len(names), len(names) <= _WITH_NUMBERS
    cell = _CELL if numbered else max(6, 600 // c)
    side = _LABELS + cell * c
    parts = [
        f'<svg class="matrix" role="img" viewBox="0 0 {side + 40} {side}" style="max-width:{side + 40}px"'
    ]
    spoken = "Confusion matrix. " + "; ".join(
        f"{name}: {int(counts[i, i])} of {int(counts[i].sum())} right" for i, name in enumerate(names)
    )
    parts.append(f' aria-label="{escaped(spoken)}">')
    totals = np.maximum(counts.sum(axis=1), 1)
    for i, name in enumerate(names):
        middle = _LABELS + cell * (i + 0.5)
        short = escaped(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…")
        parts.append(
            f'<text x="{_LABELS - 6}" y="{middle + 4}" text-anchor="end">{short}</text>'
            f'<text transform="translate({middle + 3} {_LABELS - 6}) rotate(-55)">{short}</text>'
        )
        for j in np.flatnonzero(counts[i]).tolist():
            share = counts[i, j] / totals[i]
            fill = f"m{'right' if i == j else 'wrong'}"
            x, y = _LABELS + cell * j, _LABELS + cell * i
            told = f"{name} taken for {names[j]}: {counts[i, j]} ({per_cent(float(share))})"
            parts.append(
                f"<g><title>{escaped(told)}</title>"
                f'<rect class="{fill}" x="{x + 1}" y="{y + 1}" width="{cell - 2}" height="{cell - 2}" '
                f'fill-opacity="{np.sqrt(share):.2f}"/>'
            )
            if numbered:
                dark = ' class="on"' if share > 0.4 else ""
                parts.append(
                    f'<text{dark} x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle">'
                    f"{counts[i, j]}</text>"
                )
            parts.append("</g>")
    parts.append(
        f'<rect class="frame" x="{_LABELS}" y="{_LABELS}" width="{cell * c}" height="{cell * c}"/></svg>'
    )
    caption = "Rows: what the pictures show; columns: what was said. Blue: right; orange: wrong."
    return Drawing("".join(parts), spoken, caption, "matrix")


def reliability_drawing(bins: Sequence[Mapping[str, Any]]) -> Drawing:
    """How often each confidence is right, with 95 % intervals, against the dashed line of a perfect one."""
    shown = [b for b in bins if b["n"]]
    bars = []
    for b in shown:
        n, accuracy = int(b["n"]), float(b["accuracy"])
        rate = clopper_pearson(round(n * accuracy), n)
        x, width = LEFT + SIDE * b["low"], SIDE * (b["high"] - b["low"])
        top = TOP + SIDE * (1 - accuracy)
        middle = LEFT + SIDE * float(b["confidence"])
        told = f"confidence {b['confidence']:.2f}: {per_cent(accuracy)} right of {counted(n, 'picture')}"
        bars.append(
            f'<g><title>{escaped(told)}</title><rect class="reliable" x="{x + 0.5:.1f}" y="{top:.1f}" '
            f'width="{width - 1:.1f}" height="{SIDE * accuracy:.1f}"/><path class="whisker" d="M{middle:.1f} '
            f'{TOP + SIDE * (1 - rate.high):.1f}V{TOP + SIDE * (1 - rate.low):.1f}"/>'
            f'<circle class="dot" cx="{middle:.1f}" cy="{top:.1f}" r="3"/></g>'
        )
    spoken = "Reliability: " + "; ".join(
        f"confidence {b['confidence']:.2f}, {per_cent(float(b['accuracy']))} right of {b['n']}" for b in shown
    )
    return line_chart(
        [],
        Scale("confidence", 0, 1, _HALVES),
        Scale("share that is right", 0, 1, _HALVES),
        spoken=spoken,
        caption="Reliability; dashed: as often right as said; lines: 95 % intervals",
        aside=np.array([[0.0, 0.0], [1.0, 1.0]]),
        dot="".join(bars),
    )


def roc_drawing(scores: Mapping[str, SetScores]) -> Drawing | None:
    """ROC curves of scores on sets in one figure: a colour for each set, a dash for each score."""
    lines, told = [], []
    for s, (score, found) in enumerate(scores.items()):
        for i, (name, strange) in enumerate(found.unknown.items()):
            if not len(strange) or not len(found.known):
                continue
            fpr, tpr, _ = roc_curve(*_ranked(found.known, strange))
            label = name if len(scores) == 1 else f"{name} · {score}"
            points = np.stack([fpr, tpr], axis=1)
            lines.append(Line(points, label, i % COLOURS, DASHES[s % len(DASHES)]))
            told.append(label)
    if not lines:
        return None
    return line_chart(
        lines,
        Scale("known pictures flagged", 0, 1, _HALVES),
        Scale("strange pictures found", 0, 1, _HALVES),
        spoken=f"ROC curves of {', '.join(told)}.",
        caption="ROC; dashed grey: guessing",
        aside=np.array([[0.0, 0.0], [1.0, 1.0]]),
    )


def histograms(scores: SetScores, threshold: float | None) -> Iterator[Block]:
    """Known above, each other set below, with the threshold through both."""
    known = np.sort(scores.known)
    for name, strange in scores.unknown.items():
        if not len(strange) or not len(known):
            continue
        axis = Axis.around(known, strange, threshold if threshold is not None else float(known[-1]))
        if axis is None:
            yield Paragraph(f"The scores of {name} lie too far apart to be drawn.", "soft")
            continue
        yield score_chart(
            Half.bars(known, "known picture", "b-normal", axis, upwards=True),
            Half.bars(strange, f"{name} picture", "b-flagged", axis, upwards=False),
            axis,
            threshold,
            caption=f"Known classes against {name}",
            tinted=True,
            below="raw score (higher: less like the known classes)",
        )


def _ranked(known: Scores, strange: Scores) -> tuple[Scores, NDArray[np.bool_]]:
    return np.concatenate([known, strange]), np.repeat([False, True], [len(known), len(strange)])

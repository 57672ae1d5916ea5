"""ROC, precision-recall and training curves as small SVG drawings of our own.

ROC points are joined by straight lines, which is exact: between two points lie only ties, and a tie
counts one half. Precision-recall is drawn as the steps that average precision adds up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.metrics.ranking import precision_recall_curve, roc_curve
from anomalens.reports.evaluation_numbers import CardNumbers
from anomalens.reports.evaluation_texts import seen

Points = NDArray[np.float64]

SIDE: Final = 240
LEFT, TOP = 46, 10
_BOTTOM, _RIGHT = 34, 10
_MAX_CURVES: Final = 8


def ranking_curves(numbers: CardNumbers) -> str:
    """Both curves with the point of the verdict, or nothing where a class is missing."""
    if not len(numbers.normal) or not len(numbers.anomalous):
        return ""
    scores = np.concatenate([numbers.normal, numbers.anomalous])
    labels = np.arange(len(scores)) >= len(numbers.normal)
    fpr, tpr, _ = roc_curve(scores, labels)
    precision, recall, _ = precision_recall_curve(scores, labels)
    alarms, found = numbers.false_alarm_rate, numbers.detection_rate
    flagged = alarms.count + found.count
    prevalence = len(numbers.anomalous) / len(scores)
    roc = _square(
        _path(np.stack([fpr, tpr], axis=1)),
        point=("roc", alarms.value or 0.0, found.value or 0.0),
        aside=_path(np.array([[0.0, 0.0], [1.0, 1.0]])),
        x="false-alarm rate",
        y="anomalies found",
        spoken=f"ROC curve, area {numbers.card.image_auroc or 0:.4f}",
    )
    steps = np.stack([np.repeat(recall, 2)[:-1], np.repeat(precision, 2)[1:]], axis=1)
    pr = _square(
        _path(steps),
        point=("pr", found.value or 0.0, found.count / flagged) if flagged else None,
        aside=_path(np.array([[0.0, prevalence], [1.0, prevalence]])),
        x="recall (anomalies found)",
        y="precision",
        spoken=f"Precision-recall curve, average precision {numbers.card.image_ap or 0:.4f}",
    )
    return (
        f"<figure>{roc}<figcaption>ROC; dashed: guessing; dot: the threshold</figcaption></figure>"
        f"<figure>{pr}<figcaption>Precision-recall; dashed: flagging at random</figcaption></figure>"
    )


def training_curves(settings: Mapping[str, Any]) -> str:
    """Curves that a card carries: `settings["curves"]`, name → values, or name → {"x", "y"}."""
    curves = settings.get("curves")
    if not isinstance(curves, Mapping):
        return ""
    drawn = []
    for name, given in list(curves.items())[:_MAX_CURVES]:
        points = _curve_points(given)
        if points is not None:
            drawn.append(_line_chart(seen(str(name)), points))
    return "".join(drawn)


def _square(
    path: str, *, point: tuple[str, float, float] | None, aside: str, x: str, y: str, spoken: str
) -> str:
    base, right = TOP + SIDE, LEFT + SIDE
    dot = ""
    if point is not None:
        kind, px, py = point
        dot = (
            f'<circle class="dot" data-dot="{kind}" cx="{LEFT + SIDE * px:.2f}" '
            f'cy="{TOP + SIDE * (1 - py):.2f}" r="4.5"/>'
        )
    ticks = "".join(
        f'<text x="{LEFT + SIDE * v:g}" y="{base + 14}" text-anchor="middle">{v:g}</text>'
        f'<text x="{LEFT - 5}" y="{TOP + SIDE * (1 - v) + 4:g}" text-anchor="end">{v:g}</text>'
        for v in (0, 0.5, 1)
    )
    return framed(
        spoken,
        f'{ticks}<path class="aside" d="{aside}"/><path class="line" d="{path}"/>{dot}'
        f'<text x="{(LEFT + right) / 2}" y="{base + 29}" text-anchor="middle">{x}</text>'
        f'<text transform="translate(11 {TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">{y}</text>',
    )


def framed(spoken: str, inside: str) -> str:
    """A square frame with a drawing in it and texts around it."""
    return (
        f'<svg class="curve" role="img" viewBox="0 0 {LEFT + SIDE + _RIGHT} {TOP + SIDE + _BOTTOM}" '
        f'aria-label="{escape(spoken)}"><rect class="frame" x="{LEFT}" y="{TOP}" width="{SIDE}" '
        f'height="{SIDE}"/>{inside}</svg>'
    )


def _path(points: Points) -> str:
    """A path through points in the unit square, on a grid of half a pixel."""
    xs = np.rint(2 * SIDE * points[:, 0]).astype(int)
    ys = np.rint(2 * SIDE * (1 - points[:, 1])).astype(int)
    kept = _thinned(xs, ys)
    places = [f"{LEFT + xs[i] / 2:g} {TOP + ys[i] / 2:g}" for i in kept]
    return "M" + "L".join(places)


def _thinned(xs: NDArray[np.int64], ys: NDArray[np.int64]) -> list[int]:
    """Of each run of points in one column of pixels the first, lowest, highest and last: same picture."""
    starts = np.flatnonzero(np.diff(xs, prepend=xs[0] - 1))
    ends = np.append(starts[1:], len(xs))
    kept: list[int] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        column = ys[start:end]
        places = {start, start + int(column.argmin()), start + int(column.argmax()), end - 1}
        kept += sorted(places)
    return kept


def _curve_points(given: object) -> Points | None:
    xs: object = None
    if isinstance(given, Mapping):
        xs, given = given.get("x"), given.get("y")
    if not isinstance(given, list) or len(given) < 2:
        return None
    if not isinstance(xs, list) or len(xs) != len(given):
        xs = list(range(1, len(given) + 1))
    pairs = [
        (float(x), float(y))
        for x, y in zip(xs, given, strict=True)
        if type(x) in (int, float) and type(y) in (int, float) and math.isfinite(x) and math.isfinite(y)
    ]
    return np.array(sorted(pairs)) if len(pairs) > 1 else None


def _line_chart(name: str, points: Points) -> str:
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.where(high > low, high - low, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.nan_to_num((points - low) / size)
    base = TOP + SIDE
    texts = (
        f'<text x="{LEFT - 4}" y="{TOP + 9}" text-anchor="end">{high[1]:.2g}</text>'
        f'<text x="{LEFT - 4}" y="{base}" text-anchor="end">{low[1]:.2g}</text>'
        f'<text x="{LEFT}" y="{base + 14}">{low[0]:g}</text>'
        f'<text x="{LEFT + SIDE}" y="{base + 14}" text-anchor="end">{high[0]:g}</text>'
    )
    chart = framed(name, f'{texts}<path class="line" d="{_path(unit)}"/>')
    told = f"{escape(name)}: from {points[0, 1]:.4g} to {points[-1, 1]:.4g}"
    return f"<figure>{chart}<figcaption>{told}</figcaption></figure>"

"""ROC, precision-recall and training curves.

ROC points are joined by straight lines, which is exact: between two points lie only ties, and a tie
counts one half. Precision-recall is drawn as the steps that average precision adds up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from anomalens.evaluation.metrics import precision_recall_curve, roc_curve
from anomalens.reports.evaluation.numbers import CardNumbers
from anomalens.reports.parts.document import Block, Box
from anomalens.reports.parts.line_chart import COLOURS, DASHES, Line, Points, Scale, dot_at, line_chart

_MAX_CURVES: Final = 8
_HALVES: Final = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def ranking_curves(named: Mapping[str, CardNumbers]) -> Iterator[Block]:
    """ROC and precision-recall, a line for each detector on the same images; of one, with its threshold.

    Parameters
    ----------
    named : mapping of str to CardNumbers
        By what the legend says; those that lack a class are not drawn.
    """
    drawn = {name: n for name, n in named.items() if len(n.normal) and len(n.anomalous)}
    if not drawn:
        return
    roc, precision_recall = [], []
    for i, (name, numbers) in enumerate(drawn.items()):
        scores = np.concatenate([numbers.normal, numbers.anomalous])
        labels = np.arange(len(scores)) >= len(numbers.normal)
        fpr, tpr, _ = roc_curve(scores, labels)
        precision, recall, _ = precision_recall_curve(scores, labels)
        steps = np.stack([np.repeat(recall, 2)[:-1], np.repeat(precision, 2)[1:]], axis=1)
        look = (name, i % COLOURS, DASHES[i // COLOURS % len(DASHES)])
        roc.append(Line(np.stack([fpr, tpr], axis=1), *look))
        precision_recall.append(Line(steps, *look))
    first, *others = drawn.values()
    at = ("", "") if others else _thresholds(first)
    share = len(first.anomalous) / (len(first.anomalous) + len(first.normal))
    areas = ", ".join(f"{name} {n.card.image_auroc or 0:.4f}".strip() for name, n in drawn.items())
    means = ", ".join(f"{name} {n.card.image_ap or 0:.4f}".strip() for name, n in drawn.items())
    yield Box(
        (
            line_chart(
                roc,
                Scale("false-alarm rate", 0, 1, _HALVES),
                Scale("anomalies found", 0, 1, _HALVES),
                spoken=f"ROC curve, area {areas}.",
                caption="ROC; dashed: guessing" + ("; dot: the threshold" if at[0] else ""),
                aside=np.array([[0.0, 0.0], [1.0, 1.0]]),
                dot=at[0],
            ),
            line_chart(
                precision_recall,
                Scale("recall (anomalies found)", 0, 1, _HALVES),
                Scale("precision", 0, 1, _HALVES),
                spoken=f"Precision-recall curve, average precision {means}.",
                caption="Precision-recall; dashed: flagging at random",
                aside=np.array([[0.0, share], [1.0, share]]),
                dot=at[1],
            ),
        ),
        "curves",
    )


def _thresholds(numbers: CardNumbers) -> tuple[str, str]:
    """The verdict's point in either chart."""
    alarms, found = numbers.false_alarm_rate, numbers.detection_rate
    recall, flagged = found.value or 0.0, alarms.count + found.count
    return (
        dot_at("roc", alarms.value or 0.0, recall),
        dot_at("pr", recall, found.count / flagged) if flagged else "",
    )


def training_curves(settings: Mapping[str, Any]) -> Iterator[Block]:
    """Curves that a card carries: `settings["curves"]`, name → values, or name → {"x", "y"}."""
    curves = settings.get("curves")
    for name, given in list(curves.items())[:_MAX_CURVES] if isinstance(curves, Mapping) else ():
        points = _curve_points(given)
        if points is not None:
            x, y = Scale.over("", points[:, 0]), Scale.over("", points[:, 1])
            told = f"{name}: from {points[0, 1]:.4g} to {points[-1, 1]:.4g}"
            yield line_chart([Line(points)], x, y, spoken=told, caption=told)


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

"""ROC, precision-recall and training curves.

ROC points are joined by straight lines, which is exact: between two points lie only ties, and a tie
counts one half. Precision-recall is drawn as the steps that average precision adds up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.metrics.ranking import precision_recall_curve, roc_curve
from anomalens.reports.evaluation.numbers import CardNumbers
from anomalens.reports.parts.document import Drawing
from anomalens.reports.parts.line_chart import COLOURS, DASHES, Line, Points, Scale, dot_at, line_chart

_MAX_CURVES: Final = 8
_HALVES: Final = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def ranking_curves(numbers: CardNumbers) -> Iterator[Drawing]:
    """ROC and precision-recall with the point of the verdict, or nothing where a class is missing."""
    if not len(numbers.normal) or not len(numbers.anomalous):
        return
    alarms, found = numbers.false_alarm_rate, numbers.detection_rate
    recall, flagged = found.value or 0.0, alarms.count + found.count
    dot = dot_at("roc", alarms.value or 0.0, recall)
    yield roc_chart({"": numbers}, "ROC; dashed: guessing; dot: the threshold", dot=dot)
    scores, labels = _ranked(numbers)
    precision, recalls, _ = precision_recall_curve(scores, labels)
    steps = np.stack([np.repeat(recalls, 2)[:-1], np.repeat(precision, 2)[1:]], axis=1)
    yield line_chart(
        [Line(steps)],
        Scale("recall (anomalies found)", 0, 1, _HALVES),
        Scale("precision", 0, 1, _HALVES),
        spoken=f"Precision-recall curve, average precision {numbers.card.image_ap or 0:.4f}.",
        caption="Precision-recall; dashed: flagging at random",
        aside=np.array([[0.0, labels.mean()], [1.0, labels.mean()]]),
        dot=dot_at("pr", recall, found.count / flagged) if flagged else "",
    )


def roc_chart(named: Mapping[str, CardNumbers], caption: str, *, dot: str = "") -> Drawing:
    """ROC curves of detectors on the same images.

    Parameters
    ----------
    named : mapping of str to CardNumbers
        By what the legend says; each has normal images and anomalies.
    caption : str
    dot : str
        See `line_chart`.
    """
    lines = []
    for i, (name, numbers) in enumerate(named.items()):
        fpr, tpr, _ = roc_curve(*_ranked(numbers))
        dash = DASHES[i // COLOURS % len(DASHES)]
        lines.append(Line(np.stack([fpr, tpr], axis=1), name, i % COLOURS, dash))
    areas = ", ".join(f"{name} {n.card.image_auroc or 0:.4f}".strip() for name, n in named.items())
    return line_chart(
        lines,
        Scale("false-alarm rate", 0, 1, _HALVES),
        Scale("anomalies found", 0, 1, _HALVES),
        spoken=f"ROC curve, area {areas}.",
        caption=caption,
        aside=np.array([[0.0, 0.0], [1.0, 1.0]]),
        dot=dot,
    )


def _ranked(numbers: CardNumbers) -> tuple[Points, NDArray[np.bool_]]:
    """All scores, and which of them are of anomalies."""
    scores = np.concatenate([numbers.normal, numbers.anomalous])
    return scores, np.arange(len(scores)) >= len(numbers.normal)


def training_curves(settings: Mapping[str, Any]) -> Iterator[Drawing]:
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

"""The figures of a result card and their intervals, under the card's keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.evaluation.ground_truth import Map, Mask
from anomalens.metrics.intervals import Figure, bootstrap_interval
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.pixel_intervals import pixel_intervals
from anomalens.metrics.ranking import average_precision, f1_max, fpr_at_tpr, image_auroc, missing_class
from anomalens.metrics.verdicts import verdict_figures

_RANKING: Final[dict[str, Figure]] = {
    "image_auroc": image_auroc,
    "image_ap": average_precision,
    "image_f1_max": lambda values, labels: f1_max(values, labels)[0],
    "fpr95": fpr_at_tpr,
}
_PIXELS: Final = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupimo")


def image_part(
    values: NDArray[np.float64], labels: NDArray[np.bool_], verdicts: NDArray[np.bool_]
) -> tuple[dict[str, Any], dict[str, list[float]], list[str]]:
    """Image figures and those at the verdict, their 95 % intervals, and notes.

    Intervals are by stratified bootstrap for ranking figures, exact binomial for the realised rates. Where a
    class is missing there are no ranking figures, and a note says so.

    Parameters
    ----------
    values : float64 [n]
        Scores, higher means more anomalous.
    labels, verdicts : bool [n]
        True = anomalous, and flagged.
    """
    at = verdict_figures(labels, verdicts)
    rates = {"false_alarm_rate": at.false_alarm_rate, "detection_rate": at.detection_rate}
    undefined = missing_class(labels)
    ranked = {} if undefined else {name: figure(values, labels) for name, figure in _RANKING.items()}
    intervals = {}
    for name in ranked:
        if name != "fpr95":
            interval = bootstrap_interval(values, labels, figure=_RANKING[name])
            intervals[name] = [interval.low, interval.high]
    intervals |= {name: [rate.low, rate.high] for name, rate in rates.items() if rate.value is not None}
    found = {
        **ranked,
        "accuracy": at.accuracy,
        "precision": at.precision,
        "recall": at.recall,
        "f1": at.f1,
        "confusion": asdict(at.confusion),
        **{name: rate.value for name, rate in rates.items()},
    }
    return found, intervals, [undefined] if undefined else []


def pixel_part(
    maps: list[tuple[Map, Mask | None]],
) -> tuple[dict[str, Any], dict[str, list[float]], list[str]]:
    """Pixel figures, their 95 % intervals and notes; all empty without a mask.

    Parameters
    ----------
    maps : list of (map float [h, w], mask bool [h, w] or None for a normal image)
    """
    if not any(mask is not None for _, mask in maps):
        return {}, {}, []
    found = pixel_figures(maps)
    notes = [f"{name} is exact to ±{bound:.2g} (histogram)." for name, bound in found.error_bounds.items()]
    intervals = {name: [i.low, i.high] for name, i in pixel_intervals(maps).items()}
    return {name: getattr(found, name) for name in _PIXELS}, intervals, notes

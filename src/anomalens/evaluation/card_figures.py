"""The figures of a result card and their intervals, under the card's keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.evaluation.ground_truth import Map, Mask
from anomalens.metrics.image_figures import ImageFigures
from anomalens.metrics.intervals import bootstrap_interval
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.pixel_intervals import pixel_intervals
from anomalens.metrics.ranking import average_precision, f1_max, image_auroc

_PIXELS: Final = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupimo")


def image_part(figures: ImageFigures) -> dict[str, Any]:
    """Image figures and those at the verdict."""
    at = figures.at_verdict
    assert at is not None
    return {
        "image_auroc": figures.image_auroc,
        "image_ap": figures.image_ap,
        "image_f1_max": figures.image_f1_max,
        "fpr95": figures.fpr95,
        "accuracy": at.accuracy,
        "precision": at.precision,
        "recall": at.recall,
        "f1": at.f1,
        "confusion": asdict(at.confusion),
        "false_alarm_rate": at.false_alarm_rate.value,
        "detection_rate": at.detection_rate.value,
    }


def image_intervals(
    values: NDArray[np.float64], labels: NDArray[np.bool_], figures: ImageFigures
) -> dict[str, list[float]]:
    """95 %: stratified bootstrap for ranking figures, exact binomial for the realised rates."""
    found: dict[str, list[float]] = {}
    if not figures.undefined:
        for name, figure in (
            ("image_auroc", image_auroc),
            ("image_ap", average_precision),
            ("image_f1_max", lambda s, t: f1_max(s, t)[0]),
        ):
            interval = bootstrap_interval(values, labels, figure=figure)
            found[name] = [interval.low, interval.high]
    at = figures.at_verdict
    assert at is not None
    for name, rate in (("false_alarm_rate", at.false_alarm_rate), ("detection_rate", at.detection_rate)):
        if rate.value is not None:
            found[name] = [rate.low, rate.high]
    return found


def pixel_part(
    maps: list[tuple[Map, Mask | None]], unmarked: int
) -> tuple[dict[str, Any], dict[str, list[float]], list[str]]:
    """Pixel figures, their 95 % intervals and notes; all empty without a mask.

    Parameters
    ----------
    maps : list of (map float [h, w], mask bool [h, w] or None for a normal image)
    unmarked : int
        Anomalous images that have no mask and are not among the maps.
    """
    if not any(mask is not None for _, mask in maps):
        return {}, {}, []
    notes = []
    if unmarked:
        notes.append(f"{unmarked} anomalous test images have no mask and are left out of the pixel figures.")
    found = pixel_figures(maps)
    for name, bound in found.error_bounds.items():
        notes.append(f"{name} is exact to ±{bound:.2g} (histogram).")
    intervals = {name: [i.low, i.high] for name, i in pixel_intervals(maps).items()}
    return {name: getattr(found, name) for name in _PIXELS}, intervals, notes

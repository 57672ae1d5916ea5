"""Evaluate one task: fit on its training images, ask the inspector about its test images, compute figures.

The test labels are used for figures only: the threshold, the size and every setting are fixed before. All
figures are of raw scores and raw maps. Scoring goes through `Inspector.check`, the one scoring path.
"""

from __future__ import annotations

import hashlib
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.datasets.hygiene import check_hygiene
from anomalens.datasets.masks import read_mask
from anomalens.datasets.task import Task
from anomalens.errors import AnomalensError, AnomalensWarning, ImageError, InputError
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.evaluation.intervals import bootstrap_interval
from anomalens.evaluation.metrics import (
    ImageFigures,
    average_precision,
    f1_max,
    image_auroc,
    image_figures,
)
from anomalens.evaluation.pixel_metrics import pixel_figures
from anomalens.evaluation.settings import FitSettings, fitting_size
from anomalens.images.layout import GOOD
from anomalens.inspector import Finding, Inspector
from anomalens.inspector.finding import calibration_summary
from anomalens.progress import Progress, silent

_COMPARED: Final = 2000  # images that the check for leaks compares by content
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def evaluate_task(
    task: Task,
    settings: FitSettings,
    *,
    seed: int = 0,
    model: Inspector | None = None,
    command: str | None = None,
    on_fitted: Callable[[Inspector], None] | None = None,
    progress: Progress = silent,
) -> ResultCard:
    """Fit, check, and put what came out on a card.

    Parameters
    ----------
    task : Task
    settings : FitSettings
        Ignored, but for the detector's name on the card, where a `model` is given.
    seed : int
    model : Inspector, optional
        Test this one instead of fitting.
    command : str, optional
        The command that reproduces the card.
    on_fitted : callable, optional
        Is given the inspector before it is tested, for callers that ask it more afterwards.

    Returns
    -------
    ResultCard
        With an `error`, and no figures, where fitting or checking cannot be done: an evaluation of many
        tasks goes on.
    """
    blank = _blank(task, settings, seed, command)
    try:
        return _evaluate(task, settings, seed, model, blank, on_fitted, progress)
    except AnomalensError as error:
        return ResultCard(**{**blank, "error": str(error)})


def _evaluate(
    task: Task,
    settings: FitSettings,
    seed: int,
    model: Inspector | None,
    blank: dict[str, Any],
    on_fitted: Callable[[Inspector], None] | None,
    progress: Progress,
) -> ResultCard:
    if not len(task.test):
        raise InputError(f"{task.name} has no test images; evaluate needs some, with labels.")
    start = time.perf_counter()
    if model is None:
        size = fitting_size(settings, task.train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnomalensWarning)  # the card's notes say them
            inspector = settings.fit(task.train, size=size, seed=seed, progress=progress)
        fit_seconds: float | None = time.perf_counter() - start
    else:
        inspector, fit_seconds = model, None
    if on_fitted is not None:
        on_fitted(inspector)
    scores: list[ImageScore] = []
    maps: list[tuple[Map, Mask | None]] = []
    notes = [
        *task.notes,
        *check_hygiene(task, limit=_COMPARED, seed=seed).warnings,
        *inspector.card.get("notes", ()),
    ]
    unmarked = 0
    with_masks = any(entry.mask is not None for entry in task.test)  # else no map is kept
    start = time.perf_counter()
    reading = 0.0  # masks are read between answers; that is no part of checking
    for entry, finding in zip(task.test, inspector.check(task.test, progress=progress), strict=True):
        label = entry.label or GOOD
        scores.append(
            ImageScore(entry.id, label, finding.score, finding.p_value, finding.anomalous, finding.error)
        )
        begin = time.perf_counter()
        if finding.map is not None and with_masks:
            mask = _mask_on_map(entry, finding)
            if label == GOOD or mask is not None:
                maps.append((finding.map, None if label == GOOD else mask))
            else:
                unmarked += 1
        reading += time.perf_counter() - begin
    spent = time.perf_counter() - start - reading
    answered = [score for score in scores if score.score is not None]
    if len(answered) < len(scores):
        notes.append(f"{len(scores) - len(answered)} of {len(scores)} test images cannot be read.")
    if not answered:
        raise InputError(f"None of the {len(scores)} test images of {task.name} can be read.")
    values = np.array([score.score for score in answered], np.float64)
    labels = np.array([score.label != GOOD for score in answered])
    verdicts = np.array([bool(score.anomalous) for score in answered])
    figures = image_figures(values, labels, verdicts)
    if figures.undefined:
        notes.append(figures.undefined)
    pixels, pixel_notes = _pixel_figures(maps, unmarked)
    return ResultCard(
        **{
            **blank,
            "n_train": inspector.card.get("data", {}).get("n_images"),
            "n_test": len(answered),
            **_image_part(figures),
            **pixels,
            "threshold": inspector.calibration.threshold.value,
            "fit_seconds": fit_seconds,
            "ms_per_image": 1000 * spent / len(scores),
            "peak_mb": peak_mb(),
            "ci": _intervals(values, labels, figures),
            "data_sha256": _data_hash(task),
            "versions": dict(inspector.card.get("versions", {})),
            "settings": {
                **settings.to_json(),
                "fitted_size": list(inspector.card["size"]),
                "parameters": dict(inspector.card["detector"]["settings"]),
                "runtime_used": inspector.runtime.to_json(),
            },
            "calibration": {
                **calibration_summary(inspector.calibration),
                "scores": inspector.calibration.scores.tolist(),
            },
            "notes": tuple(dict.fromkeys([*notes, *pixel_notes])),
            "scores": tuple(scores),
        }
    )


def _blank(task: Task, settings: FitSettings, seed: int, command: str | None) -> dict[str, Any]:
    return {
        "dataset": task.dataset,
        "protocol": task.protocol,
        "category": task.category,
        "normal_class": task.normal_class,
        "shots": task.shots,
        "detector": settings.detector,
        "seed": seed,
        "settings": settings.to_json(),
        "command": command,
    }


def _image_part(figures: ImageFigures) -> dict[str, Any]:
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


def _intervals(
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


def _pixel_figures(
    maps: list[tuple[Map, Mask | None]], unmarked: int
) -> tuple[dict[str, float | None], list[str]]:
    if not any(mask is not None for _, mask in maps):
        return {}, []
    notes = []
    if unmarked:
        notes.append(f"{unmarked} anomalous test images have no mask and are left out of the pixel figures.")
    found = pixel_figures(maps)
    for name, bound in found.error_bounds.items():
        notes.append(f"{name} is exact to ±{bound:.2g} (histogram).")
    names = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupimo")
    return {name: getattr(found, name) for name in names}, notes


def _mask_on_map(entry: Any, finding: Finding) -> Mask | None:
    """The ground truth at the map's pixels, by nearest neighbour; None where there is none.

    A mask so thin that it falls between the map's pixels keeps the nearest ones.
    """
    assert finding.map is not None and finding.map_to_original is not None
    assert finding.original_size is not None
    mask = read_mask(entry, finding.original_size)
    if mask is None:
        return None
    height, width = finding.map.shape
    to = finding.map_to_original
    xs = np.floor(to.ax * (np.arange(width) + 0.5) + to.bx).astype(int)
    ys = np.floor(to.ay * (np.arange(height) + 0.5) + to.by).astype(int)
    inside_x, inside_y = (xs >= 0) & (xs < mask.shape[1]), (ys >= 0) & (ys < mask.shape[0])
    on_map = np.zeros((height, width), bool)
    on_map[np.ix_(inside_y, inside_x)] = mask[np.ix_(ys[inside_y], xs[inside_x])]
    if mask.any() and not on_map.any():
        y, x = np.nonzero(mask)
        column = np.clip(((x + 0.5 - to.bx) / to.ax).astype(int), 0, width - 1)
        row = np.clip(((y + 0.5 - to.by) / to.ay).astype(int), 0, height - 1)
        on_map[row, column] = True
    return on_map if on_map.any() else None


def _data_hash(task: Task) -> str:
    parts = []
    for images in (task.train, task.test):
        try:
            parts.append(images.data_sha256())
        except ImageError as error:  # an unreadable file has no content to hash, but a name
            parts.append(error.image)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def peak_mb() -> float:
    """Peak resident memory of this process in MB (10⁶ bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def summary_rows(cards: list[ResultCard]) -> Iterator[list[str]]:
    """A few figures of each card as texts, for tables on the terminal; the first row is the heading."""
    yield ["task", "detector", "seed", "AUROC", "95 %", "AP", "pixel AUROC", "AUPRO", "false alarms", "found"]
    for card in cards:
        if card.error is not None:
            yield [card.title, card.detector, str(card.seed), f"failed: {card.error}"]
            continue
        low, high = card.ci.get("image_auroc", (None, None))
        yield [
            card.title,
            card.detector,
            str(card.seed),
            number(card.image_auroc),
            "–" if low is None else f"{low:.3f}–{high:.3f}",
            number(card.image_ap),
            number(card.pixel_auroc),
            number(card.aupro),
            number(card.false_alarm_rate),
            number(card.detection_rate),
        ]


def number(value: float | None, digits: int = 4) -> str:
    """A figure for a table; a dash where it does not apply."""
    return "–" if value is None else f"{value:.{digits}f}"

"""Evaluate one task: fit on its training images, ask the inspector about its test images, compute figures.

The test labels are used for figures only: the threshold, the size and every setting are fixed before. All
figures are of raw scores and raw maps. Scoring goes through `Inspector.check`, the one scoring path.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from anomalens.datasets.hygiene import check_hygiene
from anomalens.datasets.task import Task
from anomalens.errors import AnomalensError, AnomalensWarning, InputError
from anomalens.evaluation.card_figures import image_intervals, image_part, pixel_part
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.evaluation.data_hash import data_hash
from anomalens.evaluation.ground_truth import Map, Mask, mask_on_map, visible_map
from anomalens.evaluation.memory import peak_mb, start_peak
from anomalens.evaluation.settings import FitSettings
from anomalens.images.layout import GOOD
from anomalens.inspector import Inspector
from anomalens.inspector.finding import calibration_summary
from anomalens.inspector.model_card import short_hash
from anomalens.metrics.image_figures import image_figures
from anomalens.progress import Progress, silent

_COMPARED: Final = 2000  # images that the check for leaks compares by content


def evaluate_task(
    task: Task,
    settings: FitSettings,
    *,
    seed: int = 0,
    against: str | None = None,
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
    against : str, optional
        For in-vs-out: the name of the data whose images are the anomalies.
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
    blank = {**_blank(task, settings, seed, command), "against": against}
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
    start_peak()
    start = time.perf_counter()
    if model is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnomalensWarning)  # the card's notes say them
            inspector = settings.fit(task.train, seed=seed, progress=progress)
        fit_seconds: float | None = time.perf_counter() - start
    else:
        inspector, fit_seconds = model, None
    if on_fitted is not None:
        on_fitted(inspector)
    scores: list[ImageScore] = []
    parts: dict[str, dict[str, list[float]]] = {}  # what the scores were made of, by name and label
    maps: list[tuple[Map, Mask | None]] = []
    unmarked = marked_normals = 0
    mask_notes: list[str] = []
    with_masks = any(entry.mask is not None for entry in task.test)  # else no map is kept
    start = time.perf_counter()
    reading = 0.0  # masks are read between answers; that is no part of checking
    paired = inspector.detector.uses_references and task.references is not None
    steps = inspector.check(task.test, references=task.references if paired else None, progress=progress)
    for entry, finding in zip(task.test, steps, strict=True):
        label = entry.label or GOOD
        scores.append(
            ImageScore(entry.id, label, finding.score, finding.p_value, finding.anomalous, finding.error)
        )
        for name, value in finding.parts.items():
            kinds = parts.setdefault(name, {"normal": [], "anomalous": []})
            kinds["normal" if label == GOOD else "anomalous"].append(value)
        begin = time.perf_counter()
        if finding.map is not None and with_masks:
            try:
                mask = mask_on_map(entry, finding)
            except InputError as error:  # one bad mask must not cost the image figures
                mask = None
                mask_notes.append(f"A mask is left out: {error}")
            if label == GOOD:
                marked_normals += mask is not None
                maps.append((visible_map(finding), None))
            elif mask is not None:
                maps.append((visible_map(finding), mask))
            else:
                unmarked += 1
        reading += time.perf_counter() - begin
    spent = time.perf_counter() - start - reading
    peak = peak_mb()  # before the figures, whose sorting is no part of what a detector costs
    notes = [
        *task.notes,
        *check_hygiene(task, limit=_COMPARED, seed=seed).warnings,
        *_learnt_by_model(task, inspector if model is not None else None),
        *inspector.card.get("notes", ()),
        *(inspector.detector.notes if model is None else ()),
    ]
    if settings.feature_cache is not None and model is None:
        notes.append("Features may come from a cache: the times may leave the network out.")
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
    if marked_normals:
        mask_notes.append(
            f"{marked_normals} normal test images have a mask that marks something; they count as normal."
        )
    pixels, pixel_ci, pixel_notes = pixel_part(maps, unmarked)
    limits = inspector.detector.part_thresholds(inspector.calibration.threshold.value)
    return ResultCard(
        **{
            **blank,
            "n_train": inspector.card.get("data", {}).get("n_images"),
            "n_test": len(answered),
            **image_part(figures),
            **pixels,
            "threshold": inspector.calibration.threshold.value,
            "fit_seconds": fit_seconds,
            "ms_per_image": 1000 * spent / len(scores),
            "peak_mb": peak,
            "ci": {**image_intervals(values, labels, figures), **pixel_ci},
            "data_sha256": data_hash(task),
            "versions": dict(inspector.card.get("versions", {})),
            "settings": {
                **(settings.to_json() if model is None else _settings_of(inspector)),
                "fitted_size": list(inspector.card["size"]),
                "parameters": dict(inspector.card["detector"]["settings"]),
                "runtime_used": inspector.runtime.to_json(),
                **({"densities": parts} if len(parts) > 1 else {}),
                **({"part_thresholds": dict(limits)} if limits else {}),
                **({"curves": dict(inspector.detector.curves)} if inspector.detector.curves else {}),
            },
            "calibration": {
                **calibration_summary(inspector.calibration),
                "scores": inspector.calibration.scores.tolist(),
            },
            "notes": tuple(dict.fromkeys([*notes, *mask_notes, *pixel_notes])),
            "scores": tuple(scores),
        }
    )


def _learnt_by_model(task: Task, model: Inspector | None) -> list[str]:
    """A sentence where a saved model has learnt from images that it is tested on."""
    known = set() if model is None else set(model.card.get("data", {}).get("image_hashes", ()))
    if not known:
        return []
    seen = 0
    for index in range(len(task.test)):
        try:
            seen += short_hash(task.test, index) in known
        except InputError:
            continue
    if not seen:
        return []
    return [f"The model has learnt from {seen} of the {len(task.test)} test images: the figures flatter it."]


def _settings_of(model: Inspector) -> dict[str, Any]:
    """How a saved model was made, in the words of `FitSettings`."""
    return {
        "detector": model.detector.name,
        "model": model.name,
        "preprocess": model.preprocessing.to_json(),
        "augment": model.card.get("augmentation"),
        "policy": str(model.calibration.policy),
        "runtime": model.runtime.name,
        "precision": model.runtime.precision,
        "threads": model.runtime.threads,
    }


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

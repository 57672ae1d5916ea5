"""Evaluate one task: fit on its training images, ask the inspector about its test images, compute figures.

The test labels are used for figures only: the threshold, the size and every setting are fixed before. All
figures are of raw scores and raw maps. Scoring goes through `Inspector.check`, the one scoring path.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from anomalens.datasets.hygiene import check_hygiene
from anomalens.datasets.task import Task
from anomalens.errors import AnomalensError, AnomalensWarning, InputError
from anomalens.evaluation.answers import Answers, OnFinding
from anomalens.evaluation.card_figures import image_part, pixel_part
from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.data_hash import data_hash
from anomalens.evaluation.memory import peak_mb, start_peak
from anomalens.images.labels import GOOD
from anomalens.inspector import Inspector
from anomalens.inspector.finding import calibration_summary
from anomalens.inspector.fit_options import DETECTOR, FitOptions
from anomalens.inspector.model_card import short_hash
from anomalens.metrics.p_values import PValueAudit
from anomalens.progress import Progress, silent

_COMPARED: Final = 2000  # images that the check for leaks compares by content


def evaluate_task(
    task: Task,
    options: FitOptions,
    *,
    model: Inspector | None = None,
    command: str | None = None,
    on_fitted: Callable[[Inspector], None] | None = None,
    on_finding: OnFinding | None = None,
    audit: bool = False,
    progress: Progress = silent,
) -> ResultCard:
    """Fit, check, and put what came out on a card.

    Parameters
    ----------
    task : Task
    options : FitOptions
        Ignored, but for the detector's name on the card, where a `model` is given.
    model : Inspector, optional
        Test this one instead of fitting.
    command : str, optional
        The command that reproduces the card.
    on_fitted : callable, optional
        Is given the inspector before it is tested, for callers that ask it more afterwards.
    on_finding : callable, optional
        Is given each test image, its finding with the map, and the model's calibration, as they come; its
        time is no part of checking.
    audit : bool
        Whether the card says how uniform the p-values of normal test images are.

    Returns
    -------
    ResultCard
        With an `error`, and no figures, where fitting or checking cannot be done: an evaluation of many
        tasks goes on.
    """
    options = replace(options, detector=options.detector or DETECTOR)
    blank = _blank(task, options, command)
    try:
        if not len(task.test):
            raise InputError(f"{task.name} has no test images; evaluate needs some, with labels.")
        start_peak()
        start = time.perf_counter()
        inspector = _fitted(task, options, progress) if model is None else model
        if model is None:
            blank = replace(blank, fit_seconds=time.perf_counter() - start)
        if on_fitted is not None:
            on_fitted(inspector)
        answers = Answers.of(inspector, task, on_finding=on_finding, progress=progress)
        peak = peak_mb()  # before the figures, whose sorting is no part of what a detector costs
        notes = _notes(task, options, inspector, fitted=model is None)
        settings = options.to_json() if model is None else _settings_of(inspector)
        blank = replace(blank, peak_mb=peak, settings={**settings, **_found(inspector, answers)})
        card = _with_figures(blank, task, inspector, answers, notes)
        return replace(card, audit=_audit(card, inspector)) if audit else card
    except AnomalensError as error:
        return replace(_blank(task, options, command), error=str(error))


def _blank(task: Task, options: FitOptions, command: str | None) -> ResultCard:
    assert options.detector is not None
    return ResultCard(
        dataset=task.dataset,
        protocol=task.protocol,
        category=task.category,
        normal_class=task.normal_class,
        shots=task.shots,
        detector=options.detector,
        seed=options.seed,
        settings=options.to_json(),
        command=command,
    )


def _fitted(task: Task, options: FitOptions, progress: Progress) -> Inspector:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)  # the card's notes say them
        return Inspector.fit_with(options, task.train, progress=progress)


def _with_figures(
    blank: ResultCard, task: Task, inspector: Inspector, answers: Answers, notes: list[str]
) -> ResultCard:
    """The card with what the answers are worth."""
    n, n_answered = len(answers.scores), len(answers.answered)
    if n_answered < n:
        notes.append(f"{n - n_answered} of {n} test images cannot be read.")
    if not n_answered:
        raise InputError(f"None of the {n} test images of {task.name} can be read.")
    images, image_intervals, image_notes = image_part(*answers.arrays())
    pixels, pixel_intervals, pixel_notes = pixel_part(answers.maps)
    calibration = inspector.calibration
    return replace(
        blank,
        n_train=inspector.card.get("data", {}).get("n_images"),
        n_test=n_answered,
        threshold=calibration.threshold.value,
        ms_per_image=1000 * answers.seconds / n,
        ci={**image_intervals, **pixel_intervals},
        data_sha256=data_hash(task),
        versions=dict(inspector.card.get("versions", {})),
        calibration={**calibration_summary(calibration), "scores": calibration.scores.tolist()},
        notes=tuple(dict.fromkeys([*notes, *image_notes, *answers.notes, *pixel_notes])),
        scores=tuple(answers.scores),
        **images,
        **pixels,
    )


def _audit(card: ResultCard, inspector: Inspector) -> dict[str, Any] | None:
    """None without a normal test image."""
    p = [one.p_value for one in card.scores if one.label == GOOD and one.p_value is not None]
    return PValueAudit.of(p, inspector.calibration.n_groups).to_json() if p else None


def _found(inspector: Inspector, answers: Answers) -> dict[str, Any]:
    """What of the settings shows only when a detector was fitted and asked."""
    detector = inspector.detector
    limits = detector.part_thresholds(inspector.calibration.threshold.value)
    return {
        "fitted_size": list(inspector.card["size"]),
        "parameters": dict(inspector.card["detector"]["settings"]),
        "runtime_used": inspector.runtime.to_json(),
        **({"densities": answers.parts} if len(answers.parts) > 1 else {}),
        **({"part_thresholds": dict(limits)} if limits else {}),
        **({"curves": dict(detector.curves)} if detector.curves else {}),
    }


def _notes(task: Task, options: FitOptions, inspector: Inspector, *, fitted: bool) -> list[str]:
    """What a reader of the card must know of the data and of the model."""
    hygiene = check_hygiene(task, limit=_COMPARED, seed=options.seed).warnings
    notes = [*task.notes, *hygiene]
    notes += [] if fitted else _learnt_by_model(task, inspector)
    notes += inspector.card.get("notes", ())
    notes += inspector.detector.notes if fitted else ()
    if options.feature_cache is not None and fitted:
        notes.append("Features may come from a cache: the times may leave the network out.")
    return notes


def _learnt_by_model(task: Task, model: Inspector) -> list[str]:
    """A sentence where a saved model has learnt from images that it is tested on."""
    known = set(model.card.get("data", {}).get("image_hashes", ()))
    seen = sum(short_hash(task.test, index) in known for index in range(len(task.test))) if known else 0
    if not seen:
        return []
    return [f"The model has learnt from {seen} of the {len(task.test)} test images: the figures flatter it."]


def _settings_of(model: Inspector) -> dict[str, Any]:
    """How a saved model was made, in the words of `FitOptions`."""
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

"""Sweep: one detector over a grid of its parameters, on one task."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final

from anomalens.calibration import Policy
from anomalens.datasets.task import Task
from anomalens.errors import AnomalensError, AnomalensWarning, SettingError
from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.inspector import FitOptions, Inspector
from anomalens.options import known_options, read_text
from anomalens.progress import Progress, silent

MAX_CELLS: Final = 10_000
# What may be swept beside the detector's own parameters.
FIT_OPTIONS: Final = known_options(FitOptions, leave_out=("detector", "parameters"), also=("seed",))
FIGURES: Final = (
    "image_auroc", "pixel_auroc", "aupro", "false_alarm_rate", "detection_rate", "precision", "f1",
    "ms_per_image",
)  # fmt: skip


def grid(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Every combination of the axes' values.

    Raises
    ------
    SettingError
        No axis, an axis without values, or more than `MAX_CELLS` combinations.
    """
    count = 1
    for name, values in axes.items():
        if not values:
            raise SettingError(f"The sweep over {name} has no values; write  --over {name}=1,2,3.")
        count *= len(values)
    if not axes or count > MAX_CELLS:
        raise SettingError(
            f"A sweep takes 1 to {MAX_CELLS} combinations; these axes give {count if axes else 0}."
        )
    for combination in product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))


def sweep(
    task: Task,
    options: FitOptions,
    axes: Mapping[str, Sequence[str]],
    *,
    command: str | None = None,
    progress: Progress = silent,
) -> Iterator[ResultCard]:
    """Evaluate every combination; a combination that fails is a card with an error.

    Parameters
    ----------
    task : Task
    options : FitOptions
        What stays the same.
    axes : mapping of str to texts
        A detector's parameter, or one of `FIT_OPTIONS`, and its values. Values that are lists themselves
        (taps) are written with `+`: `taps=stride8,stride8+stride16`. Policies are tried on one fit, so they
        change fastest.
    """
    inner = {name: axes[name] for name in sorted(axes, key=lambda name: name == "policy")}
    combinations = [{name: point[name] for name in axes} for point in grid(inner)]
    fitted: list[Inspector] = []
    fitted_by: object = None
    for point in progress(combinations, label="sweep", total=len(combinations)):
        cell = _changed(options, point)
        decides = replace(cell, policy=None)
        model = _recalibrated(fitted, cell.policy) if decides == fitted_by else None
        if model is None:
            fitted, fitted_by = [], decides
        card = evaluate_task(task, cell, model=model, command=command, on_fitted=fitted.append)
        asked = cell.to_json()
        found = {k: v for k, v in card.settings.items() if k == "parameters" or k not in (*asked, "model")}
        yield replace(card, settings={**asked, **found, "swept": point})


def _recalibrated(fitted: Sequence[Inspector], policy: str | Policy | None) -> Inspector | None:
    """The inspector with another policy: one that differs in nothing else need not be fitted again."""
    if not fitted or policy is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AnomalensWarning)  # the card's notes say them
            return fitted[0].calibrate(policy)
    except AnomalensError:  # fitting says so on the card
        return None


def _changed(options: FitOptions, point: Mapping[str, str]) -> FitOptions:
    """The options of one combination."""
    changed: dict[str, Any] = {}
    parameters = dict(options.parameters)
    for name, text in point.items():
        if name == "size":
            changed[name] = int(text) if text.isdecimal() else text
        elif name in FIT_OPTIONS:
            changed[name] = read_text(FIT_OPTIONS[name], _listed(text), f"The sweep over {name}")
        else:
            parameters[name] = _listed(text)
    return replace(options, parameters=parameters, **changed)


def _listed(text: str) -> str:
    """The + of lists as commas; that of a number such as 1e+3 stays."""
    try:
        float(text)
    except ValueError:
        return text.replace("+", ",")
    return text


def sweep_rows(cards: Sequence[ResultCard]) -> Iterator[list[str]]:
    """The swept values and those figures that there are, as texts; the first row is the heading."""
    names = list(cards[0].settings["swept"])
    shown = [name for name in FIGURES if any(getattr(card, name) is not None for card in cards)]
    yield [*names, *shown]
    for card in cards:
        values = [str(card.settings["swept"][name]) for name in names]
        if card.error is not None:
            yield [*values, f"failed: {card.error}"]
            continue
        figures = [getattr(card, name) for name in shown]
        yield [*values, *("–" if value is None else f"{value:.4g}" for value in figures)]


def without_effect(cards: Sequence[ResultCard]) -> Iterator[str]:
    """A sentence for each swept key of which several values gave the same answers in all combinations."""
    done = [card for card in cards if card.error is None]
    for key in done[0].settings["swept"] if done else ():
        alike: dict[tuple[Any, ...], list[str]] = {}
        for value in dict.fromkeys(card.settings["swept"][key] for card in done):
            answers = []
            for card in done:
                swept = dict(card.settings["swept"])
                if swept.pop(key) == value:
                    images = tuple((one.image, one.score) for one in card.scores)
                    answers.append((tuple(swept.items()), card.threshold, card.aupro, images))
            alike.setdefault(tuple(answers), []).append(str(value))
        for values in alike.values():
            if key != "threads" and len(values) > 1:
                yield (
                    f"{key} {', '.join(values)} gave the same answers: nothing depends on that here, or "
                    "another setting overrules it."
                )

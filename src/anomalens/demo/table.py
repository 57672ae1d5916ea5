"""The demonstration's result as lines for the terminal."""

from __future__ import annotations

import shlex

from anomalens.demo.record import Trial
from anomalens.demo.trial import RATE

_COLUMNS = ("photograph", "learnt from", "holes", "scratches", "stains", "false alarms", "image AUROC",
            "fit s", "ms/image")  # fmt: skip


def header() -> str:
    """The names of the columns."""
    return "  ".join(_COLUMNS)


def row(trial: Trial) -> str:
    """One photograph's line, under the header."""
    found = (f"{trial.found.get(kind, 0)}/{trial.painted[kind]}" for kind in ("hole", "scratch", "stain"))
    cells = (
        trial.photograph.name,
        str(trial.n_normal),
        *found,
        f"{trial.false_alarms}/{trial.n_good}",
        f"{trial.image_auroc:.3f}",
        f"{trial.fit_seconds:.1f}",
        f"{trial.ms_per_image:.0f}",
    )
    first, *rest = (
        cell.ljust(len(name)) if i == 0 else cell.rjust(len(name))
        for i, (cell, name) in enumerate(zip(cells, _COLUMNS, strict=True))
    )
    return "  ".join((first, *rest))


def by_hand(trial: Trial) -> tuple[str, str]:
    """The two commands that repeat a trial."""
    normal = shlex.quote(str(trial.folder / "train" / "good"))
    test = shlex.quote(str(trial.folder / "test"))
    model = f"my-{trial.photograph.name}.anomalens"
    return (
        f"anomalens fit {normal} --out {model} --groups declared --false-alarm-rate {RATE}",
        f"anomalens check {model} {test} --out my-{trial.photograph.name}-report",
    )

"""Run the cells of a suite, one process each; what is done stays done when the run is killed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard, read_cards, write_cards
from anomalens.evaluation.suite import Cell
from anomalens.progress import Progress, silent


def run_cells(
    cells: Iterable[Cell | InputError], folder: Path, *, again: bool = False, progress: Progress = silent
) -> tuple[list[ResultCard], list[str]]:
    """Evaluate what has no card yet.

    Parameters
    ----------
    cells : iterable of Cell or InputError
    folder : Path
        Where the cards are; cells whose card is there and holds figures are not run again.
    again : bool
        Run all of them anew.

    Returns
    -------
    cards, missing
        One card per cell, failed ones with their `error`; and a sentence per dataset that is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(cells)
    missing = [str(cell) for cell in wanted if isinstance(cell, InputError)]
    todo = [cell for cell in wanted if isinstance(cell, Cell)]
    cards = []
    for cell in progress(todo, label="benchmark", total=len(todo)):
        path = folder / cell.file_name
        card = None if again else _done(path)
        if card is None:
            card = run_cell(cell, path)
        cards.append(card)
    return cards, missing


def _done(path: Path) -> ResultCard | None:
    """The card of an earlier run; None where there is none, a damaged one or a failed one."""
    if not path.exists():
        return None
    try:
        (card,) = read_cards([path])
    except (InputError, ValueError):
        return None
    return card if card.error is None else None


def run_cell(cell: Cell, path: Path) -> ResultCard:
    """One `anomalens evaluate`, in a process of its own."""
    code = "from anomalens.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", *cell.arguments, "--json", str(path)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        check=False,
    )
    if done.returncode in (0, 2) and path.exists():
        card = _any(path)
        if card is not None:
            return card
    card = ResultCard(
        dataset=cell.title,
        protocol="",
        detector=cell.detector,
        seed=cell.seed,
        error=_reason(done),
        command=shlex.join(["anomalens", "evaluate", *cell.arguments]),
    )
    write_cards(path, [card])
    return card


def _any(path: Path) -> ResultCard | None:
    try:
        (card,) = read_cards([path])
    except (InputError, ValueError):
        return None
    return card


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"its process was ended by signal {-done.returncode}"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"its process ended with exit code {done.returncode}"

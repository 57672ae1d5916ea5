"""The process of one cell: reads it as JSON from standard input, evaluates it and writes its card.

    python -m anomalens.evaluation.cell_process CARD.json < cell.json

A process of its own has a peak of memory of its own, and when it crashes, that costs one cell.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from anomalens.errors import AnomalensError
from anomalens.evaluation.cards import ResultCard, write_cards
from anomalens.evaluation.cell import Cell
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.inspector.fit_options import DETECTOR


def evaluate_cell(cell: Cell) -> ResultCard:
    """The card of a cell; with an `error` where its data are not there or it cannot be evaluated."""
    try:
        task = cell.load()
    except AnomalensError as error:
        return failed_card(cell, str(error))
    card = evaluate_task(task, cell.options, command=cell.command)
    return replace(card, against=cell.selection.against)


def failed_card(cell: Cell, error: str) -> ResultCard:
    """The card of a cell of which nothing but an error is known."""
    return ResultCard(
        dataset=cell.title,
        protocol="",
        detector=cell.options.detector or DETECTOR,
        seed=cell.options.seed,
        error=error,
        command=cell.command,
    )


if __name__ == "__main__":
    write_cards(Path(sys.argv[1]), [evaluate_cell(Cell.from_json(json.load(sys.stdin)))])

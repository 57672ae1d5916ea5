"""`anomalens evaluate`: fit on train, score on test, figures with intervals on result cards."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import RUNTIME, fit_options, model_option, selection_options
from anomalens.cli.tables import columns
from anomalens.datasets.selection import Selection
from anomalens.errors import SettingError
from anomalens.inspector.fit_options import DETECTOR, FitOptions
from anomalens.options import flag
from anomalens.places import require_place

_NOTES: Final = 12  # that are shown below the table

if TYPE_CHECKING:
    from anomalens.datasets import Task
    from anomalens.evaluation.cards import ResultCard
    from anomalens.evaluation.cell import Cell
    from anomalens.inspector import Inspector


@click.command()
@selection_options
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    metavar="NAME",
    help="Repeat for more; combine:A,B fuses several, tiled:A cuts large images into tiles. "
    f"[default: {DETECTOR}]",
)
@click.option(
    "--seed", "seeds", multiple=True, type=click.IntRange(0, 2**31 - 1), help="Repeat for more. [default: 0]"
)
@model_option
@fit_options(leave_out=("detector", "tile", "overlap", "seed", "keep_thumbnails"))
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result cards.",
)
@click.option(
    "--audit",
    is_flag=True,
    help="Say whether false-alarm rates are kept: p-values of the normal test images against uniform.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a page to decide by, with pictures, and its Markdown and JSON twins.",
)
def evaluate(
    selection: Selection,
    detectors: tuple[str, ...],
    seeds: tuple[int, ...],
    model: Path | None,
    tested: Inspector | None,
    options: FitOptions,
    json_file: Path | None,
    audit: bool,
    report: Path | None,
) -> int:
    """Fit on DATASET's normal images, score its test images.

    DATASET is a folder, a manifest, an .npz or a tar, or a name from `anomalens datasets` with --root.

    Every figure is of raw scores; the threshold is chosen from normal training images only.

    \b
      anomalens evaluate data/transistor
      anomalens evaluate mnist --root data --normal-class 3 --seed 0 --seed 1 --seed 2 --json mnist.json
      anomalens evaluate data/transistor --model part.anomalens
      anomalens evaluate data/transistor --audit --report report

    Exit code 2 where an evaluation failed; its card says why.
    """
    from anomalens.evaluation.cards import write_cards
    from anomalens.evaluation.evaluate import evaluate_task

    if model is not None:
        _refuse_choices(model, detectors, options)
    if json_file is not None:
        require_place(json_file, "--json")
    album = None
    if report is not None:
        from anomalens.reports.evaluation import Album, report_folder, write_report

        report_folder(report)  # what is refused there is refused before the work
        album = Album()
    names = detectors or (DETECTOR,) if tested is None else (tested.detector.name,)
    cards: list[ResultCard] = []
    for cell, task in _cells(selection, [replace(options, detector=name) for name in names], seeds or (0,)):
        card = evaluate_task(
            task,
            cell.options,
            model=tested,
            command=cell.command if model is None else f"{cell.command} --model {shlex.quote(str(model))}",
            on_finding=None if album is None else album.see,
            audit=audit,
            progress=bar,
        )
        card = replace(card, against=selection.against)
        cards.append(card)
        if album is not None:
            album.keep(card)
        if json_file is not None:  # after each, so that a killed run keeps what is done
            write_cards(json_file, cards)
    _tell(cards, audit=audit)
    if report is not None:
        click.echo(f"page: {write_report(cards, report, album=album)}")
    return 2 if any(card.error is not None for card in cards) else 0


def _tell(cards: Sequence[ResultCard], *, audit: bool) -> None:
    """The table, what an audit found, and notes."""
    from anomalens.evaluation.results_table import summary_rows

    for line in columns(summary_rows(cards)):
        click.echo(line)
    for card in cards if audit else ():
        click.echo(_audited(card))
    notes = list(dict.fromkeys(note for card in cards for note in card.notes))
    for note in notes[:_NOTES]:
        click.echo(f"note: {note}", err=True)
    if len(notes) > _NOTES:
        click.echo(f"note: and {len(notes) - _NOTES} more, in --json and --report", err=True)


def _audited(card: ResultCard) -> str:
    """Whether a card's false-alarm rates are kept, in a line."""
    if card.audit is None:
        return f"audit of {card.title}, {card.detector}: no normal test image was answered"
    rates = "; ".join(
        f"{r['asked']:g}: {r['value']:.3f} ({r['low']:.3f}–{r['high']:.3f})" for r in card.audit["rates"]
    )
    return (
        f"audit of {card.title}, {card.detector}: KS distance {card.audit['distance']:.3f}, limit "
        f"{card.audit['limit']:.3f}; asked and realised {rates}"
    )


def _refuse_choices(model: Path, detectors: tuple[str, ...], options: FitOptions) -> None:
    """A saved model is tested as it is: what only a fit takes would be passed over."""
    usual = FitOptions()
    changed = [f.name for f in fields(options) if getattr(options, f.name) != getattr(usual, f.name)]
    chosen = ["--detector"] * bool(detectors)
    chosen += ["-p" if name == "parameters" else flag(name) for name in changed if name not in RUNTIME]
    if chosen:
        raise SettingError(
            f"{', '.join(chosen)} cannot change the saved model {model}, which is tested as it is; leave "
            "out --model to fit, or what only a fit takes."
        )


def _cells(
    selection: Selection, fits: list[FitOptions], seeds: tuple[int, ...]
) -> Iterator[tuple[Cell, Task]]:
    """Every combination of a seed, a task and a fit, with the task."""
    from anomalens.datasets import tasks_of
    from anomalens.evaluation.cell import Cell

    for seed in seeds:
        for task in tasks_of(selection, seed=seed):
            for options in fits:
                yield Cell(selection.only(task), replace(options, seed=seed), task.name), task

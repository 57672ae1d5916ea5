"""`anomalens sweep`: one detector over a grid of its parameters."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import fit_options, key_values, selection_options
from anomalens.cli.tables import columns
from anomalens.datasets.selection import Selection
from anomalens.errors import SettingError
from anomalens.inspector.fit_options import FitOptions
from anomalens.places import require_place, write_text


@click.command()
@selection_options
@click.option(
    "--over",
    "over",
    multiple=True,
    required=True,
    metavar="KEY=V1,V2",
    help="What to vary: a parameter of the detector, or size, preprocess, augment, copies, policy, "
    "runtime, precision, threads, seed; repeat for more. Lists inside a value take +: "
    "taps=stride8,stride8+stride16.",
)
@fit_options("detector", "size", "seed", "parameters")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result cards.",
)
@click.option(
    "--curves",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Draw the figures against the first key.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write report.html with the curves, report.md and report.json.",
)
def sweep(
    selection: Selection,
    over: tuple[str, ...],
    options: FitOptions,
    json_file: Path | None,
    curves: Path | None,
    report: Path | None,
) -> int:
    """Evaluate one detector over a grid of its parameters.

    \b
      anomalens sweep data/transistor --over coreset_ratio=0.001,0.01,0.1 --curves coreset.svg
      anomalens sweep data/transistor --over size=128,192,256 --over taps=stride8,stride8+stride16
      anomalens sweep data/cells --detector cae-kde --over latent=8,32,128 --report study

    This is a study of robustness on test images, not a way to choose settings: what is best here is tuned
    to this test set.
    """
    from anomalens.datasets import tasks_of
    from anomalens.evaluation import sweep as room
    from anomalens.evaluation.cards import write_cards
    from anomalens.evaluation.cell import Cell
    from anomalens.reports.evaluation import report_folder, sweep_curves, write_report

    if report is not None:
        report_folder(report)  # what is refused there is refused before the work
    for path, option in ((json_file, "--json"), (curves, "--curves")):
        if path is not None:
            require_place(path, option)
    tasks = tasks_of(selection, seed=options.seed)
    if len(tasks) != 1:
        names = ", ".join(task.name for task in tasks[:12])
        raise SettingError(
            f"A sweep takes one task, and {selection.dataset} has {len(tasks)}: {names}; choose one with "
            "--category or --normal-class."
        )
    axes = {key: [v for v in text.split(",") if v] for key, text in key_values(over).items()}
    varied = (word for text in over for word in ("--over", text))
    command = shlex.join(["anomalens", "sweep", *Cell(selection, options).words, *varied])
    cards = []
    for card in room.sweep(tasks[0], options, axes, command=command, progress=bar):
        cards.append(card)
        if json_file is not None:
            write_cards(json_file, cards)
    for line in columns(room.sweep_rows(cards)):
        click.echo(line)
    for text in room.without_effect(cards):
        click.echo(f"note: {text}", err=True)
    if curves is not None:
        write_text(curves, sweep_curves(cards))
        click.echo(f"curves: {curves}")
    if report is not None:
        click.echo(f"page: {write_report(cards, report)}")
    return 2 if any(card.error is not None for card in cards) else 0

"""`anomalens sweep`: one detector over a grid of its parameters."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from anomalens import defaults
from anomalens.cli.bars import bar
from anomalens.cli.options import key_values, size_option, task_options
from anomalens.cli.tables import columns


@click.command()
@click.argument("dataset", metavar="DATASET")
@task_options
@click.option(
    "--over",
    "over",
    multiple=True,
    required=True,
    metavar="KEY=V1,V2",
    help="What to vary: a parameter of the detector, or size, preprocess, augment, copies, policy, "
    "seed; repeat for more. Lists inside a value take +: taps=stride8,stride8+stride16.",
)
@click.option(
    "--detector",
    default=defaults.DETECTOR,
    show_default=True,
    metavar="NAME",
    help="See `anomalens detectors`.",
)
@size_option()
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**31 - 1),
    help="Of the fits and of what is drawn.",
)
@click.option("-p", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter that stays the same.")
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
    dataset: str,
    over: tuple[str, ...],
    root: Path | None,
    protocol: str | None,
    category: str | None,
    normal_class: str | None,
    against: str | None,
    shots: int | None,
    detector: str,
    size: int | str | None,
    seed: int,
    parameters: tuple[str, ...],
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
    from anomalens.datasets import load_tasks
    from anomalens.errors import SettingError
    from anomalens.evaluation import sweep as room
    from anomalens.evaluation.cards import write_cards
    from anomalens.evaluation.settings import FitSettings
    from anomalens.places import require_place, write_text

    if report is not None:
        from anomalens.reports.evaluation_report import report_folder, write_report

        report_folder(report)  # what is refused there is refused before the work
    for path, option in ((json_file, "--json"), (curves, "--curves")):
        if path is not None:
            require_place(path, option)
    tasks = load_tasks(
        dataset,
        root=root,
        protocol=protocol,
        category=category,
        normal_class=normal_class,
        shots=shots,
        seed=seed,
        against=against,
    )
    if len(tasks) != 1:
        names = ", ".join(task.name for task in tasks[:12])
        raise SettingError(
            f"A sweep takes one task, and {dataset} has {len(tasks)}: {names}; choose one with --category "
            "or --normal-class."
        )
    axes = {key: [v for v in text.split(",") if v] for key, text in key_values(over).items()}
    settings = FitSettings(detector=detector, parameters=key_values(parameters), size=size)
    words = ["anomalens", "sweep", dataset, *(part for text in over for part in ("--over", text))]
    for option, value in (
        ("--root", root), ("--protocol", protocol), ("--category", category),
        ("--normal-class", normal_class), ("--against", against), ("--shots", shots), ("--seed", seed),
    ):  # fmt: skip
        if value is not None:
            words += [option, str(value)]
    command = f"{shlex.join(words)} {settings.options()}"
    cards = []
    for card in room.sweep(tasks[0], settings, axes, seed=seed, command=command, progress=bar):
        cards.append(card)
        if json_file is not None:
            write_cards(json_file, cards)
    for line in columns(room.sweep_rows(cards)):
        click.echo(line)
    if curves is not None:
        write_text(curves, room.draw(cards))
        click.echo(f"curves: {curves}")
    if report is not None:
        click.echo(f"page: {write_report(cards, report)}")
    return 2 if any(card.error is not None for card in cards) else 0

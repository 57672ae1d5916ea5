"""`anomalens evaluate`: fit on train, score on test, figures with intervals on result cards."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from anomalens import defaults
from anomalens.cli.bars import bar
from anomalens.cli.options import (
    checkpoints_option,
    feature_cache_option,
    key_values,
    policy_options,
    policy_text,
    preparation_options,
    runtime_options,
    size_option,
    task_options,
)
from anomalens.cli.tables import columns


@click.command()
@click.argument("dataset", metavar="DATASET")
@task_options
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    metavar="NAME",
    help="Repeat for more; combine:A,B fuses several, tiled:A cuts large images into tiles. "
    f"[default: {defaults.DETECTOR}]",
)
@click.option(
    "--seed", "seeds", multiple=True, type=click.IntRange(0, 2**31 - 1), help="Repeat for more. [default: 0]"
)
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="FILE", help="Test a saved model instead of fitting."
)
@click.option("--backbone", metavar="NAME", help="As for `anomalens fit`.")
@size_option()
@preparation_options
@policy_options
@runtime_options
@feature_cache_option
@checkpoints_option
@click.option("-p", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter of the detector.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result cards.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a page to decide by, with pictures, and its Markdown and JSON twins.",
)
def evaluate(
    dataset: str,
    root: Path | None,
    protocol: str | None,
    category: str | None,
    normal_class: str | None,
    against: str | None,
    shots: int | None,
    detectors: tuple[str, ...],
    seeds: tuple[int, ...],
    model: Path | None,
    backbone: str | None,
    size: int | str | None,
    preprocess: str,
    augment: str | None,
    copies: int,
    false_alarm_rate: float | None,
    policy: str | None,
    runtime: str | None,
    precision: str | None,
    threads: int | None,
    feature_cache: Path | None,
    checkpoints: Path | None,
    parameters: tuple[str, ...],
    json_file: Path | None,
    report: Path | None,
) -> int:
    """Fit on DATASET's normal images, score its test images.

    DATASET is a folder, a manifest, an .npz or a tar, or a name from `anomalens datasets` with --root.

    Every figure is of raw scores; the threshold is chosen from normal training images only.

    \b
      anomalens evaluate data/transistor
      anomalens evaluate mnist --root data --normal-class 3 --seed 0 --seed 1 --seed 2 --json mnist.json
      anomalens evaluate data/transistor --model part.anomalens

    Exit code 2 where an evaluation failed; its card says why.
    """
    from anomalens.datasets import load_tasks
    from anomalens.evaluation.cards import ResultCard, write_cards
    from anomalens.evaluation.evaluate import evaluate_task
    from anomalens.evaluation.results_table import summary_rows
    from anomalens.evaluation.settings import FitSettings
    from anomalens.inspector import Inspector
    from anomalens.places import require_place

    if json_file is not None:
        require_place(json_file, "--json")
    given = key_values(parameters)
    if backbone is not None:
        given["backbone"] = backbone
    album = None
    if report is not None:
        from anomalens.reports.evaluation_pictures import Album
        from anomalens.reports.evaluation_report import report_folder, write_report

        report_folder(report)  # what is refused there is refused before the work
        album = Album()
    tested = None if model is None else Inspector.load(
        model, runtime=runtime, precision=precision, threads=threads
    )  # fmt: skip
    if tested is not None:
        detectors = (tested.detector.name,)
    cards: list[ResultCard] = []
    for seed in seeds or (0,):
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
        for task in tasks:
            for name in detectors or (defaults.DETECTOR,):
                settings = FitSettings(
                    detector=name,
                    parameters=given,
                    size=size,
                    preprocess=preprocess,
                    augment=augment,
                    copies=copies,
                    policy=policy_text(false_alarm_rate, policy),
                    runtime=runtime or "auto",
                    precision=precision or "float32",
                    threads=threads,
                    checkpoints=checkpoints,
                    feature_cache=feature_cache,
                )
                words = ["anomalens", "evaluate", dataset, "--protocol", task.protocol]
                for option, value in (
                    ("--root", root), ("--category", task.category),
                    ("--normal-class", task.normal_class), ("--shots", task.shots), ("--against", against),
                    ("--model", model), ("--seed", seed),
                ):  # fmt: skip
                    if value is not None:
                        words += [option, str(value)]
                command = f"{shlex.join(words)} {settings.options()}"
                fitted: list[Inspector] = []
                card = evaluate_task(
                    task, settings, seed=seed, against=against, model=tested, command=command,
                    on_fitted=fitted.append, progress=bar,
                )  # fmt: skip
                cards.append(card)
                if album is not None and fitted:
                    album.add(card, fitted[0], task)
                if json_file is not None:  # after each, so that a killed run keeps what is done
                    write_cards(json_file, cards)
    for line in columns(summary_rows(cards)):
        click.echo(line)
    if report is not None:
        click.echo(f"page: {write_report(cards, report, pictures=album)}")
    return 2 if any(card.error is not None for card in cards) else 0

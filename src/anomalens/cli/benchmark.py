"""`anomalens benchmark`: many datasets, detectors and seeds; resumable."""

from __future__ import annotations

from pathlib import Path

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import fit_options
from anomalens.inspector.fit_options import FitOptions


@click.command()
@click.argument("suite", type=click.Path(path_type=Path), metavar="SUITE.toml")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the datasets are. [default: what the suite says]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("benchmark-cards"),
    show_default=True,
    metavar="DIR",
    help="Where the result cards are kept.",
)
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the table as Markdown; remarks above a table that is there already stay.",
)
@fit_options("feature_cache", "checkpoints")
@click.option("--again", is_flag=True, help="Run every cell anew, also those that are done.")
def benchmark(
    suite: Path, root: Path | None, out: Path, table: Path | None, options: FitOptions, again: bool
) -> int:
    """Evaluate many datasets, detectors and seeds.

    Runs every combination that SUITE.toml names.

    Each is one `anomalens evaluate` in a process of its own; its result card is written as it
    finishes. Run the same command again to resume; combinations that failed, whose data or version of
    Anomalens changed, or whose packages are no longer installed, are evaluated again.

    \b
      anomalens benchmark suites/smoke.toml --root data
      anomalens benchmark suites/shared.toml --out cards --table results.md

    Exit code 2 where a combination failed or a dataset is not there.
    """
    from anomalens.evaluation.benchmark import run_cells
    from anomalens.evaluation.results_table import results_page
    from anomalens.evaluation.suite import Suite
    from anomalens.places import require_place, write_text

    if table is not None:
        require_place(table, "--table")
    read = Suite.read(suite)
    cards, missing = run_cells(read.cells(root, kept=options), out, again=again, progress=bar)
    text = results_page(read.title, cards, earlier=table)
    for sentence in missing:
        text += f"\nLeft out: {sentence}\n"
    if table is not None:
        write_text(table, text)
    click.echo(text)
    return 2 if missing or any(card.error is not None for card in cards) else 0

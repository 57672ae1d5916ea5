"""`anomalens report`: a page from result cards."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="A page to decide by, from result cards.")
@click.argument("cards", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CARDS...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of report.html, report.md and report.json.",
)
@click.option(
    "--max-mb",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0.2, 1000),
    metavar="MB",
    help="Size of report.html; what does not fit is left out, and the page says so.",
)
def report(cards: tuple[Path, ...], out: Path, max_mb: float) -> int:
    """Write one page about CARDS (files that `evaluate --json` wrote, or folders of them).

    \b
      anomalens evaluate data/transistor --json cards.json
      anomalens report cards.json --out report

    The page opens offline. Pictures of misses and false alarms are there only when the report is
    written while evaluating:  anomalens evaluate data/transistor --report report
    """
    from anomalens.evaluation.cards import read_cards
    from anomalens.reports.evaluation import write_report

    click.echo(f"page: {write_report(read_cards(cards), out, max_bytes=int(max_mb * 1e6))}")
    return 0

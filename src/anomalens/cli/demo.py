"""`anomalens demo`: the main job on real photographs that are installed already."""

from __future__ import annotations

from pathlib import Path

import click

from anomalens.cli.bars import bar


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("anomalens-demo"),
              show_default=True, metavar="DIR", help="Folder for tiles, models and pages.")
def demo(out: Path) -> int:
    """Learn from intact pieces of real photographs, then find painted defects in other pieces.

    \b
      anomalens demo
      anomalens demo --out somewhere

    Uses the brick, gravel and grass photographs that scikit-image carries; nothing is downloaded.
    """
    from anomalens.demo.table import by_hand, header, row
    from anomalens.demo.trial import RATE, run_demo

    click.echo(
        "Left half of each photograph: normal tiles to learn from. Right half: tiles to check, "
        f"every second one with a painted defect. Accepted false-alarm rate: {RATE:.0%}."
    )
    click.echo(header())
    trials = []
    for trial in run_demo(out, progress=bar):
        click.echo(row(trial))
        trials.append(trial)
    click.echo("\nLook at what was found:")
    for trial in trials:
        click.echo(f"  {trial.page}")
    click.echo("\nThe first of them by hand:")
    for command in by_hand(trials[0]):
        click.echo(f"  {command}")
    return 0

"""`anomalens demo`: the main job on real photographs that are installed already."""

from __future__ import annotations

from pathlib import Path

import click

from anomalens.cli.bars import bar


@click.command(short_help="The main job on real photographs; start here.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("anomalens-demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for tiles, models and pages.",
)
def demo(out: Path) -> int:
    """Learn from intact tiles of real photographs, then find painted defects in other tiles.

    \b
      anomalens demo
      anomalens demo --out somewhere

    Uses the brick, gravel and grass photographs that scikit-image carries; nothing is downloaded.
    """
    from anomalens.demo.table import by_hand, header, row
    from anomalens.demo.trial import RATE, run_demo

    click.echo(
        "Each photograph is cut like a chessboard: white squares are normal, black ones are "
        f"checked,\nhalf of them with a painted defect. Accepted false-alarm rate: {RATE:.0%}.\n"
    )
    click.echo(header())
    trials = []
    for trial in run_demo(out, progress=bar):
        click.echo(row(trial))
        trials.append(trial)
    click.echo(
        "\nfound: painted tiles that were flagged; false alarms: intact tiles that were flagged.\n"
        "The more regular a surface, the smaller the faults that stand out."
    )
    click.echo("\nLook at what was found:")
    for trial in trials:
        click.echo(f"  {trial.page}")
    click.echo("\nThe first of them by hand:")
    for command in by_hand(trials[0]):
        click.echo(f"  {command}")
    return 0

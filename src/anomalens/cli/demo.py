"""`anomalens demo`: the main job on real photographs that are installed already."""

from __future__ import annotations

from pathlib import Path

import click

from anomalens.cli.bars import bar, say


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

    Uses photographs that scikit-image carries (a wall, the moon, the back of an eye, and gravel, on which
    it fails); nothing is downloaded.
    """
    from anomalens.demo.table import by_hand, header, row
    from anomalens.demo.trial import RATE, run_demo
    from anomalens.demo.workspace import Workspace

    click.echo(
        "Each photograph is cut into tiles: three of four are normal and learnt from, the others are checked,"
        f"\nhalf of them with a painted defect. Accepted false-alarm rate: {RATE:.0%}.\n"
    )
    click.echo(header())
    trials = []
    for trial in run_demo(out, progress=bar):
        say(row(trial))
        trials.append(trial)
    good = sum(trial.n_good for trial in trials)
    click.echo(
        "\nholes, scratches, stains: painted tiles that were flagged; false alarms: intact tiles that were\n"
        f"flagged, of which {RATE:.0%} were accepted, some {RATE * good:.0f} of {good}."
    )
    for trial in trials:
        if trial.photograph.fails:
            click.echo(f"{trial.photograph.name}: {trial.photograph.fails}")
    click.echo(f"\nLook at what was found:\n  {Workspace(out).page}")
    click.echo("\nThe first photograph by hand:")
    for command in by_hand(trials[0]):
        click.echo(f"  {command}")
    return 0

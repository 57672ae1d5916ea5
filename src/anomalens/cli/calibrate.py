"""`anomalens calibrate`: another threshold, or other calibration pictures, without fitting again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import model_argument, policy_options, reference_option, runtime_options
from anomalens.cli.sources import image_set
from anomalens.errors import SettingError
from anomalens.places import require_place

if TYPE_CHECKING:
    from anomalens.inspector import Inspector


@click.command(short_help="Another threshold, without fitting again.")
@model_argument
@click.argument("normal", nargs=-1, metavar="[NORMAL]...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The model file to write; may be the one that was read.",
)
@click.option(
    "--add",
    is_flag=True,
    help="Let NORMAL count beside what calibrated before; alone, where it is of another day.",
)
@click.option(
    "--with-defects",
    metavar="DIR",
    help="Choose the false-alarm rate by 5 to 50 pictures with known defects.",
)
@click.option(
    "--threshold",
    type=float,
    metavar="X",
    help="Flag above this raw score, such as one found by dragging in a report; every answer says so.",
)
@reference_option
@policy_options
@runtime_options
def calibrate(
    inspector: Inspector,
    normal: tuple[str, ...],
    out: Path,
    add: bool,
    with_defects: str | None,
    threshold: float | None,
    reference: str | None,
    policy: str | None,
) -> int:
    """Choose another threshold for the model FILE, without fitting again.

    With NORMAL, pictures that the model has not seen (folder, glob, manifest, files), the threshold
    rests on their scores. With --add, 10 to 30 of them mend a model for another day, camera or lamp. A
    manifest with labelled anomalies allows the policies f1 and youden.

    \b
      anomalens calibrate part.anomalens --false-alarm-rate 0.002 --out strict.anomalens
      anomalens calibrate part.anomalens photos/more-normal --policy max --out part.anomalens
      anomalens calibrate part.anomalens photos/today --add --out part.anomalens
      anomalens calibrate part.anomalens --threshold 1.25 --out part.anomalens
      anomalens calibrate part.anomalens --with-defects photos/scratched --out part.anomalens
      anomalens calibrate part.anomalens labelled.csv --policy f1 --out tuned.anomalens
    """
    from anomalens.calibration import Policy
    from anomalens.inspector.known_defects import calibrated_with_defects

    require_place(out, "--out")
    if reference is not None and not normal and with_defects is None:
        raise SettingError("--reference was given without pictures; name the NORMAL pictures it belongs to.")
    _one_way(threshold, with_defects, policy, normal)
    if threshold is not None:
        policy = f"given={threshold!r}"
    before = inspector.calibration.threshold.value
    if with_defects is not None:
        defects = image_set((with_defects,))
        inspector, said = calibrated_with_defects(inspector, defects, references=reference, progress=bar)
        click.echo(said)
    else:
        inspector = inspector.calibrate(
            Policy.parse(policy) if policy else inspector.calibration.policy,
            image_set(normal, normal=True, labelled=True) if normal else None,
            add=add,
            references=reference,
            progress=bar,
        )
    inspector.save(out)
    calibration = inspector.calibration
    if add:
        click.echo(next(note for note in inspector.card["notes"] if "the threshold rests on" in note))
    click.echo(
        f"{out}: threshold {before:.4g} → {calibration.threshold.value:.4g} ({calibration.policy}), from "
        f"{len(calibration.scores)} {calibration.method} scores"
    )
    return 0


def _one_way(
    threshold: float | None, with_defects: str | None, policy: str | None, normal: tuple[str, ...]
) -> None:
    """Refuse two ways to choose the threshold."""
    if threshold is not None and (policy or with_defects is not None):
        raise SettingError("--threshold was given beside another way to choose one; give one of them.")
    if with_defects is not None and (normal or policy):
        raise SettingError(
            "--with-defects chooses the rate by defects alone; calibrate on NORMAL pictures in a call "
            "before, and leave out the policy."
        )

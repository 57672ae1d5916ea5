"""`anomalens fit`: learn from normal pictures, calibrate, save one file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import fit_options, reference_option
from anomalens.cli.printing import count
from anomalens.cli.sources import dataset_layout, image_set
from anomalens.inspector.fit_options import FitOptions
from anomalens.places import require_place

if TYPE_CHECKING:
    from anomalens.inspector import Inspector


@click.command(short_help="Learn from normal pictures and save one file.")
@click.argument("normal", nargs=-1, required=True, metavar="NORMAL...")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The model file to write, e.g. part.anomalens.",
)
@reference_option
@fit_options(
    "detector", "backbone", "size", "tile", "overlap", "preprocess", "augment", "copies", "policy",
    "runtime", "precision", "threads", "seed", "keep_thumbnails", "checkpoints", "parameters",
)  # fmt: skip
def fit(normal: tuple[str, ...], out: Path, reference: str | None, options: FitOptions) -> int:
    """Learn from NORMAL pictures and save one file.

    NORMAL is a folder, a glob in quotes, a CSV manifest (columns path, label, class, mask, group,
    reference) or image files. Of a folder laid out as a dataset (train/good, test/…) only train/good is
    learnt from; one that may hold defects, masks or a test part in no known layout is refused, and you name
    the normal part.

    \b
      anomalens fit photos/normal --out part.anomalens
      anomalens fit parts.csv --out part.anomalens --false-alarm-rate 0.05
      anomalens fit photos/normal --out part.anomalens -p coreset_ratio=0.05
      anomalens fit scans/normal --out scan.anomalens --tile 256
      anomalens fit boards/good --reference boards/templates --out boards.anomalens
    """
    from anomalens.inspector import Inspector

    require_place(out, "--out")
    inspector = Inspector.fit_with(
        options, image_set(normal, normal=True), references=reference, progress=bar
    )
    inspector.save(out)
    for line in _told(inspector, out):
        click.echo(line)
    if layout := dataset_layout(normal):
        click.echo(layout)
    click.echo(f"next: anomalens check {shlex.quote(str(out))} NEW_PICTURES --out report")
    return 0


def _told(inspector: Inspector, out: Path) -> Iterator[str]:
    """What was learnt, and what to expect of it."""
    calibration, detector = inspector.calibration, inspector.detector
    threshold = calibration.threshold
    yield f"{out}: {detector.name}, learnt from {count(inspector.card['data']['n_images'], 'normal image')}"
    if inspector.thumbnails:
        kilobytes = sum(len(data) for data in inspector.thumbnails.values()) / 1000
        yield f"holds {count(len(inspector.thumbnails), 'thumbnail')} of them, {kilobytes:.0f} kB"
    yield (
        f"threshold {threshold.value:.4g} ({calibration.policy}), calibrated on {len(calibration.scores)} "
        f"{calibration.method} scores of {count(calibration.n_groups, 'group')}"
    )
    yield from detector.notes
    for name, limit in detector.part_thresholds(threshold.value).items():
        yield f"flagged where {name} is above {limit:.4g}"
    interval = calibration.rate_interval()
    if interval is not None and calibration.calibrated:
        yield (
            f"expect to flag {threshold.expected_rate:.1%} of normal images "
            f"(95 % interval {interval[0]:.1%} to {interval[1]:.1%})"
        )

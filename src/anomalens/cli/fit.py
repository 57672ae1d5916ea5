"""`anomalens fit`: learn from normal pictures, calibrate, save one file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import fit_options, reference_option
from anomalens.cli.printing import count
from anomalens.cli.sources import dataset_layout, image_set
from anomalens.errors import SettingError
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
@click.option(
    "--doubtful",
    type=click.Choice(["keep", "drop", "ask"]),
    default="keep",
    show_default=True,
    help="What becomes of NORMAL pictures that the others do not explain, among which defects may hide: they "
    "are named and kept, left out, or asked about one by one; what is left out needs a second fit.",
)
@reference_option
@click.option(
    "--area",
    metavar="FILE:NAME",
    help="Of videos, learn one area alone, which a JSON file of `anomalens watch --areas` names.",
)
@click.option(
    "--fps",
    type=click.FloatRange(0.01, 1000),
    default=25.0,
    show_default=True,
    help="Frames a second of folders of frames, which `anomalens watch --per-hour` rests on.",
)
@fit_options(leave_out=("feature_cache",))
def fit(
    normal: tuple[str, ...],
    out: Path,
    doubtful: str,
    reference: str | None,
    area: str | None,
    fps: float,
    options: FitOptions,
) -> int:
    """Learn from NORMAL pictures and save one file.

    NORMAL is a folder, a glob in quotes, a CSV manifest (columns path, label, class, mask, group,
    capture, reference), image files or videos. Of a folder laid out as a dataset (train/good,
    test/…) only train/good is learnt from; one that may hold defects, masks or a test part in no
    known layout is refused, and you name the normal part.

    \b
      anomalens fit photos/normal --out part.anomalens
      anomalens fit parts.csv --out part.anomalens --false-alarm-rate 0.05
      anomalens fit photos/normal --out part.anomalens --quality best
      anomalens fit photos/normal --out part.anomalens --ms 20
      anomalens fit photos/normal --out part.anomalens -p coreset_ratio=0.05
      anomalens fit scans/normal --out scan.anomalens --tile 256
      anomalens fit boards/good --reference boards/templates --out boards.anomalens
      anomalens fit walkway.mp4 --detector motion --out walkway.anomalens
    """
    from anomalens.inspector import Inspector
    from anomalens.streams.learning import with_normal_blocks
    from anomalens.streams.video_file import are_videos

    require_place(out, "--out")
    if doubtful == "ask" and not sys.stdin.isatty():
        raise SettingError("--doubtful ask needs a terminal to ask on; write keep or drop.")
    if are_videos(normal):
        if reference is not None or doubtful != "keep":
            raise SettingError("Of videos neither --reference nor --doubtful is known; leave them out.")
        return _fit_videos(normal, out, area, options)
    if area is not None:
        raise SettingError("An area was given for pictures; give videos, of which it is a part.")
    images = image_set(normal, normal=True)
    inspector = Inspector.fit_with(options, images, references=reference, progress=bar)
    if dropped := _dropped(inspector, doubtful):
        kept = [i for i, entry in enumerate(images) if entry.id not in dropped]
        inspector = Inspector.fit_with(options, images.subset(kept), references=reference, progress=bar)
    if inspector.detector.earlier:  # frames, in the order of their names
        inspector = with_normal_blocks(inspector, fps=fps)
    inspector.save(out)
    for line in _told(inspector, out):
        click.echo(line)
    if layout := dataset_layout(normal):
        click.echo(layout)
    click.echo(f"next: anomalens check {shlex.quote(str(out))} NEW_PICTURES --out report")
    return 0


def _fit_videos(videos: tuple[str, ...], out: Path, area: str | None, options: FitOptions) -> int:
    from anomalens.inspector import Inspector
    from anomalens.streams.learning import fit_videos

    inspector = fit_videos(Inspector, [Path(video) for video in videos], options, area=area, progress=bar)
    inspector.save(out)
    for line in _told(inspector, out):
        click.echo(line)
    click.echo(f"next: anomalens watch SOURCE --model {shlex.quote(str(out))}")
    return 0


def _dropped(inspector: Inspector, action: str) -> set[str]:
    """Ids of the normal images to leave out; says of each that is doubtful what becomes of it."""
    from anomalens.inspector.doubtful import doubtful

    found = doubtful(inspector.left_out)
    dropped = set()
    for name, far in found.items():
        told = f"doubtful: {name} is {far:.1f} deviations unlike the other normal pictures"
        if action == "drop" or (action == "ask" and click.confirm(f"{told}; leave it out?", default=True)):
            dropped.add(name)
        click.echo(f"{told}; {'left out' if name in dropped else 'kept'}", err=True)
    if found and action == "keep":
        click.echo(
            "anomalens inspect NORMAL --normals DIR  shows them, --doubtful drop leaves them out", err=True
        )
    return dropped


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
    if (captures := inspector.card["data"]["n_captures"]) > 1:
        yield f"each of {captures} captures was scored by a model that has seen none of it"
    if calibration.by_class:
        yield f"of their own threshold: {', '.join(calibration.by_class)}"
    yield from detector.notes
    for name, limit in detector.part_thresholds(threshold.value).items():
        yield f"flagged where {name} is above {limit:.4g}"
    interval = calibration.rate_interval()
    if interval is not None and calibration.calibrated:
        yield (
            f"expect to flag {threshold.expected_rate:.1%} of normal images "
            f"(95 % interval {interval[0]:.1%} to {interval[1]:.1%})"
        )

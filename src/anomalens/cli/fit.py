"""`anomalens fit`: learn from normal pictures, calibrate, save one file."""

from __future__ import annotations

from pathlib import Path

import click

from anomalens import defaults
from anomalens.cli.bars import bar
from anomalens.cli.options import (
    checkpoints_option,
    key_values,
    policy_options,
    policy_text,
    preparation_options,
    reference_option,
    runtime_options,
    size_option,
)
from anomalens.cli.printing import count
from anomalens.cli.sources import dataset_layout, image_set
from anomalens.places import require_place


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
    "--detector",
    metavar="NAME",
    help="See `anomalens detectors`; combine:A,B fuses several, tiled:A is A with --tile. "
    f"[default: {defaults.DETECTOR}; template with --reference]",
)
@reference_option
@click.option("--backbone", metavar="NAME", help="A name from `anomalens backbones`, or an ONNX file.")
@size_option()
@click.option(
    "--tile",
    type=click.IntRange(32, 2048),
    metavar="PX",
    help="For images of many megapixels: learn from tiles of this side (256 is usual), and check tile by "
    "tile, so that small faults keep their size.",
)
@click.option(
    "--overlap",
    type=click.IntRange(0, 1024),
    metavar="PX",
    help="What neighbouring tiles share at least. [default: 32]",
)
@preparation_options
@policy_options
@runtime_options
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    help="Same images, same seed, same runtime: the same model.",
)
@click.option(
    "--keep-thumbnails",
    default=0,
    type=click.IntRange(0, 2000),
    metavar="N",
    help="Put small pictures (96 px, about 3 kB) of at most N normal images into FILE, for the pages of "
    "`check --out`. [default: none]",
)
@checkpoints_option
@click.option(
    "-p",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the detector; repeat for more.",
)
def fit(
    normal: tuple[str, ...],
    out: Path,
    detector: str | None,
    reference: str | None,
    backbone: str | None,
    size: int | str | None,
    tile: int | None,
    overlap: int | None,
    preprocess: str,
    augment: str | None,
    copies: int,
    false_alarm_rate: float | None,
    policy: str | None,
    runtime: str | None,
    precision: str | None,
    threads: int | None,
    seed: int,
    keep_thumbnails: int,
    checkpoints: Path | None,
    parameters: tuple[str, ...],
) -> int:
    """Learn from NORMAL pictures and save one file.

    NORMAL is a folder, a glob in quotes, a CSV manifest (columns path, label, mask, group, reference) or
    image files. Of a folder laid out as a dataset (train/good, test/…) only train/good is learnt from; one
    that may hold defects, masks or a test part in no known layout is refused, and you name the normal part.

    \b
      anomalens fit photos/normal --out part.anomalens
      anomalens fit parts.csv --out part.anomalens --false-alarm-rate 0.05
      anomalens fit photos/normal --out part.anomalens -p coreset_ratio=0.05
      anomalens fit scans/normal --out scan.anomalens --tile 256
      anomalens fit boards/good --reference boards/templates --out boards.anomalens
    """
    from anomalens.inspector import Inspector

    require_place(out, "--out")
    given = key_values(parameters)
    if backbone is not None:
        given["backbone"] = backbone
    inspector = Inspector.fit(
        image_set(normal, normal=True),
        references=reference,
        detector=detector,
        parameters=given,
        size=size,
        tile=tile,
        overlap=overlap,
        preprocess=preprocess,
        augment=augment,
        copies=copies,
        policy=policy_text(false_alarm_rate, policy),
        runtime=runtime or "auto",
        precision=precision or "float32",
        threads=threads,
        seed=seed,
        keep_thumbnails=keep_thumbnails,
        checkpoints=checkpoints,
        progress=bar,
    )
    inspector.save(out)
    calibration = inspector.calibration
    learnt = count(inspector.card["data"]["n_images"], "normal image")
    click.echo(f"{out}: {inspector.detector.name}, learnt from {learnt}")
    if inspector.thumbnails:
        kilobytes = sum(len(data) for data in inspector.thumbnails.values()) / 1000
        click.echo(f"holds {count(len(inspector.thumbnails), 'thumbnail')} of them, {kilobytes:.0f} kB")
    click.echo(
        f"threshold {calibration.threshold.value:.4g} ({calibration.policy}), calibrated on "
        f"{len(calibration.scores)} {calibration.method} scores of "
        f"{count(calibration.n_groups, 'group')}"
    )
    for note in inspector.detector.notes:
        click.echo(note)
    for name, limit in inspector.detector.part_thresholds(calibration.threshold.value).items():
        click.echo(f"flagged where {name} is above {limit:.4g}")
    interval = calibration.rate_interval()
    if interval is not None and calibration.calibrated:
        click.echo(
            f"expect to flag {calibration.threshold.expected_rate:.1%} of normal images "
            f"(95 % interval {interval[0]:.1%} to {interval[1]:.1%})"
        )
    if layout := dataset_layout(normal):
        click.echo(layout)
    click.echo(f"next: anomalens check {out} NEW_PICTURES --out report")
    return 0

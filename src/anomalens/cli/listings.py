"""`anomalens detectors` and `anomalens backbones`: what there is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from anomalens.cli.printing import json_text

if TYPE_CHECKING:
    from anomalens.detectors.spec import DetectorSpec


@click.command(short_help="The detectors and their parameters.")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with all parameters.")
def detectors(names: tuple[str, ...], as_json: bool) -> int:
    """List the detectors, as `fit --detector` takes them; of those named, the parameters that `fit -p` takes.

    \b
      anomalens detectors
      anomalens detectors patchcore gmm
      anomalens detectors --json
    """
    from anomalens.detectors import detector_names
    from anomalens.detectors.spec import COMBINE, TILED, DetectorSpec

    rows = [_row(DetectorSpec.parse(name)) for name in names or detector_names()]
    if as_json:
        click.echo(json_text(rows, indent=1))
        return 0
    if names:
        for row in rows:
            level = "image and pixel" if row["pixel_level"] else "image"
            click.echo(f"{row['name']}  ({row['family']}; {level} level)")
            click.echo(f"    {row['what']}")
            for parameter in row["parameters"]:
                click.echo(_parameter_line(parameter))
        return 0
    for family in dict.fromkeys(row["family"] for row in rows):
        click.echo(f"{family}")
        for row in rows:
            if row["family"] == family:
                maps = "maps" if row["pixel_level"] else ""
                click.echo(f"  {row['name']:<16} {maps:<5} {row['what']}")
    click.echo("several, or on tiles")
    for name, what in (
        (f"{COMBINE}:A,B", f"The mean of two or more on one scale, e.g. {COMBINE}:knn,gaussian;"),
        ("", "-p A.KEY=VALUE for one of them, -p KEY=VALUE for all that have it."),
        (f"{TILED}:A", f"One that gives maps, on tiles of large images, e.g. {TILED}:patchcore."),
    ):
        click.echo(f"  {name:<22} {what}")
    click.echo("next: anomalens detectors NAME lists its parameters")
    return 0


def _row(spec: DetectorSpec) -> dict[str, Any]:
    detector = spec.make()
    return {
        "name": spec.name,
        "family": detector.family,
        "pixel_level": detector.pixel_level,
        "what": (type(detector).__doc__ or "").strip().splitlines()[0],
        "parameters": [
            {
                "name": name,
                "default": list(f.default) if isinstance(f.default, tuple) else f.default,
                "range": f.metadata.get("range"),
                "help": f.metadata.get("help"),
            }
            for name, f in spec.parameters().items()
        ],
    }


def _parameter_line(parameter: dict[str, Any]) -> str:
    default = parameter["default"]
    text = ",".join(default) if isinstance(default, list) else default
    limits = parameter["range"]
    allowed = f" ({limits[0]:g} to {limits[1]:g})" if limits else ""
    return f"    -p {parameter['name']}={text}    {parameter['help']}{allowed}"


@click.command(short_help="The pretrained networks and whether they are installed.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def backbones(as_json: bool) -> int:
    """List the pretrained networks, as `fit --backbone` takes them, and whether they are installed.

    \b
      anomalens backbones
      anomalens backbones --json
    """
    from anomalens.backbones.registry import backbones as known

    rows = known()
    if as_json:
        click.echo(json_text([asdict(row) for row in rows], indent=1))
        return 0
    for row in rows:
        state = "installed" if row.installed else "not installed"
        click.echo(f"{row.name}  ({state}; {row.licence})")
        click.echo(f"    {row.source}")
        click.echo(f"    taps: {', '.join(str(tap) for tap in row.taps)}")
    click.echo("or any ONNX file with a JSON card beside it: --backbone net.onnx (docs/backbones.md)")
    return 0

"""`anomalens detectors` and `anomalens backbones`: what there is."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import click

from anomalens.cli.printing import json_text


@click.command(short_help="The detectors and their parameters.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def detectors(as_json: bool) -> int:
    """List the detectors and their parameters, as `fit --detector` and `fit -p` take them.

    \b
      anomalens detectors
      anomalens detectors --json
    """
    from anomalens.detectors import detector_names, load_detector
    from anomalens.detectors.registry import COMBINE

    rows: list[dict[str, Any]] = []
    for name in detector_names():
        found = load_detector(name)
        rows.append({
            "name": name,
            "family": found.family,
            "pixel_level": found.pixel_level,
            "what": (found.__doc__ or "").strip().splitlines()[0],
            "parameters": [
                {
                    "name": f.name,
                    "default": list(f.default) if isinstance(f.default, tuple) else f.default,
                    "range": f.metadata.get("range"),
                    "help": f.metadata.get("help"),
                }
                for f in fields(found.settings_type)
            ],
        })  # fmt: skip
    if as_json:
        click.echo(json_text(rows, indent=1))
        return 0
    shared = _shared(rows)
    for row in rows:
        level = "image and pixel" if row["pixel_level"] else "image"
        click.echo(f"{row['name']}  ({row['family']}; {level} level)")
        click.echo(f"    {row['what']}")
        own = [parameter for parameter in row["parameters"] if parameter not in shared]
        for parameter in own:
            click.echo(_parameter_line(parameter))
        if len(own) < len(row["parameters"]):
            click.echo("    and the choice of features, below")
    click.echo(f"{COMBINE}:A,B  (the mean of two or more of these on one scale, e.g. {COMBINE}:knn,gaussian)")
    click.echo("    -p A.KEY=VALUE for one of them, -p KEY=VALUE for all that have the parameter")
    click.echo("choice of features  (shared by the image-level detectors)")
    for parameter in shared:
        click.echo(_parameter_line(parameter))
    return 0


def _shared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parameters of features, as most image-level detectors have them; an own default is their own."""
    from anomalens.detectors.features.extractor import FeatureSettings

    names = {f.name for f in fields(FeatureSettings)}
    having = [row["parameters"] for row in rows if names <= {p["name"] for p in row["parameters"]}]
    return [
        parameter
        for parameter in (having[0] if having else [])
        if parameter["name"] in names and sum(parameter in others for others in having) > 1
    ]


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

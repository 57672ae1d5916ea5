"""What runs networks here: runtimes that are installed, cores that may be used, and instructions."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np

from anomalens.packages import package_folder

NAMES: Final = ("onnxruntime", "openvino")
MAX_THREADS: Final = 8


class Machine:
    """What runs networks here."""

    @property
    def runtimes(self) -> Collection[str]:
        """Those that are installed."""
        return available()

    @property
    def avx2(self) -> bool:
        """Whether the processor has these instructions."""
        return has_avx2()

    @property
    def bfloat16(self) -> bool:
        """Whether OpenVINO, which has to be installed, finds instructions for it."""
        return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


THIS: Final = Machine()


def available() -> list[str]:
    """Names of the runtimes that are installed, found without importing them."""
    return [name for name in NAMES if package_folder(name) is not None]


def usable_cores(allowed: Collection[int] | None = None, *, system: Path = Path("/sys")) -> int:
    """Physical cores that this process may use, at least 1 and at most 8.

    Two hardware threads of one core share its arithmetic units, so using both does not make a
    network faster. A container's share of processor time counts as that many cores. Small networks
    at batch 1 gain nothing beyond about eight threads.

    Parameters
    ----------
    allowed : collection of int, optional
        Numbers of the hardware threads that may be used; by default what the system says.
    system : Path
        Where Linux tells of the processor and of the container's share.
    """
    if allowed is None:
        try:
            allowed = os.sched_getaffinity(0)
        except AttributeError:  # not on Windows and macOS
            allowed = range(os.cpu_count() or 1)
    cores = {_siblings(number, system) for number in allowed}
    return max(1, min(len(cores), _container_share(system), MAX_THREADS))


def has_avx2() -> bool:
    """Whether this is an x86-64 processor with AVX2, as numpy's own dispatch found it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    found = np.show_config(mode="dicts")
    simd = found.get("SIMD Extensions", {}) if isinstance(found, dict) else {}
    # numpy ≥ 2.4 names whole levels: the third x86-64 level includes AVX2.
    names = {*simd.get("baseline", ()), *simd.get("found", ())}
    return bool(names & {"AVX2", "X86_V3", "X86_V4"})


def import_openvino() -> ModuleType:
    """Import openvino without its model converter.

    `import openvino` also tries to import `openvino.tools.ovc`, and goes on without it. The
    converter is of no use here and brings a usage reporter with its HTTP client, so it is hidden
    during the import: that halves the time and leaves no reporter in the process.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    converter = "openvino.tools.ovc"
    sys.modules[converter] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        del sys.modules[converter]


def _siblings(number: int, system: Path) -> str:
    path = system / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list"
    try:
        return path.read_text().strip()
    except OSError:
        return str(number)


def _container_share(system: Path) -> int:
    try:
        quota, period = (system / "fs/cgroup/cpu.max").read_text().split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no limit reads "max"
        return MAX_THREADS

"""What the processor under this process offers: cores that may be used, and AVX2."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np

MAX_THREADS: Final = 8


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

"""numpy's work on several cores without numpy's own threads.

The threads of a BLAS wait busily for one another. Where a core is shared, with a runtime's threads or with
other programs, a product then takes many times as long as on one thread alone (docs/architecture.md). So fits
run with one, and the few loops that matter give whole blocks to a pool of threads, which sleep when
they wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeVar

Part = TypeVar("Part")

MOST: Final = 8  # more threads are bound by memory


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which numpy's matrix products use one thread; threads of runtimes are left alone."""
    controller = _controller()
    if controller is None:
        return nullcontext()
    limited: AbstractContextManager[Any] = controller.limit(limits=1, user_api="blas")
    return limited


def on_all_cores(work: Callable[[Part], None], parts: Iterable[Part]) -> None:
    """Do `work` for every part, which write to places of their own; raises the first error.

    Call it inside `one_blas_thread`. Work must not call it again.
    """
    # A pool for every call: one that lives on can be left half made by Ctrl-C, and then never ends.
    with ThreadPoolExecutor(_cores(), thread_name_prefix="anomalens") as pool:
        for _ in pool.map(work, parts):
            pass


@cache
def _controller() -> Any:
    # finding the loaded libraries takes milliseconds, hence once; checking on an edge machine does without
    try:
        return import_module("threadpoolctl").ThreadpoolController()
    except ModuleNotFoundError:
        return None


@cache
def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)

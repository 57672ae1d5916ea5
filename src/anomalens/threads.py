"""numpy's work on several cores without numpy's own threads.

The threads of a BLAS wait busily for one another. Where a core is shared, with a runtime's threads or with
other programs, a product then takes many times as long as on one thread alone (docs/decisions.md). So fits
run with one, and the few loops that matter give whole blocks to a pool of threads, which sleep when
they wait.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeVar

Part = TypeVar("Part")

MOST: Final = 8  # more threads are bound by memory


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which numpy's matrix products use one thread; threads of runtimes are left alone.

    The limit is one of the whole process: it holds until the last of the threads that entered has left.
    """
    limit = _limit()
    return nullcontext() if limit is None else limit


def on_all_cores(work: Callable[[Part], None], parts: Iterable[Part]) -> None:
    """Do `work` for every part, which write to places of their own; raises the first error.

    Call it inside `one_blas_thread`. Work must not call it again.
    """
    # A pool for every call: one that lives on can be left half made by Ctrl-C, and then never ends.
    with ThreadPoolExecutor(_cores(), thread_name_prefix="anomalens") as pool:
        for _ in pool.map(work, parts):
            pass


class _Limit(AbstractContextManager[None]):
    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self._lock = threading.Lock()
        self._inside = 0
        self._limited: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limited = self._controller.limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limited.restore_original_limits()


@cache
def _limit() -> _Limit | None:
    # finding the loaded libraries takes milliseconds, hence once; checking on an edge machine does without
    try:
        return _Limit(import_module("threadpoolctl").ThreadpoolController())
    except ModuleNotFoundError:
        return None


@cache
def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)

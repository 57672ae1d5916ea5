"""Peak memory of an evaluation: what the process holds at its fullest, from `start_peak` on.

It is the resident set: the interpreter, the libraries and what the dataset's reader keeps are in it, as
they are in whatever deploys a model. What earlier evaluations of the process left behind is given back
first, as far as Python and the allocator can; buffers that native libraries keep stay, so that a small
evaluation after a large one in one process shows more than on its own. `benchmark` therefore gives each
a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import resource
import sys
from pathlib import Path


def start_peak() -> None:
    """Give unused memory back and let the peak start anew.

    Only Linux can do that. Elsewhere the peak is that of the process since its start.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only the GNU library has it
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Peak resident memory of this process since `start_peak`, in MB (10⁶ bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

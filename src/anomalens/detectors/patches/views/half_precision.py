"""Features at half the memory: float16, which rounds by at most a two-thousandth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]


def as_float16(features: NDArray[np.float32]) -> Halves:
    """Features as float16; what that cannot hold is cut at its largest number."""
    limit = np.float32(np.finfo(np.float16).max)
    return np.clip(features, -limit, limit).astype(np.float16)

"""Principal axes of very many patches, from a sample of them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_SAMPLE: Final = 20_000


def leading_axes(features: NDArray[np.floating], count: int, *, seed: int) -> NDArray[np.float32]:
    """The `count` leading principal axes, float32 [c, k], of patches [n, c]; all as they are where c ≤ k."""
    n, c = features.shape
    if c <= count:
        return np.eye(c, dtype=np.float32)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(n, _SAMPLE), replace=False))
    sample = features[rows].astype(np.float64)
    sample -= sample.mean(0)
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, ::-1][:, :count], dtype=np.float32)

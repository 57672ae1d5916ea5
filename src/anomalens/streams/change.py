"""By how much one frame differs from another."""

from __future__ import annotations

import numpy as np

from anomalens.images.arrays import Pixels


def small_picture(pixels: Pixels) -> np.ndarray:
    """Grey means of some 32 x 32 blocks, float32."""
    down, right = max(1, pixels.shape[0] // 32), max(1, pixels.shape[1] // 32)
    grey = pixels[::2, ::2].mean(axis=2, dtype=np.float32) if min(down, right) > 2 else pixels.mean(2)
    step = max(1, grey.shape[0] // 32), max(1, grey.shape[1] // 32)
    height, width = grey.shape[0] // step[0] * step[0], grey.shape[1] // step[1] * step[1]
    blocks = grey[:height, :width].reshape(height // step[0], step[0], width // step[1], step[1])
    means: np.ndarray = blocks.mean((1, 3))
    return means


def differs(one: np.ndarray, other: np.ndarray) -> float:
    """Grey levels by which the tenth that differs most does at least; 255 for other shapes."""
    if one.shape != other.shape:
        return 255.0
    return float(np.quantile(np.abs(one - other), 0.9))

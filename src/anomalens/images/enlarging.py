"""Bilinear enlargement and Gaussian smoothing along one side, as one matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def enlarging_matrix(patches: int, pixels: int, sigma: float) -> NDArray[np.float32]:
    """Matrix [pixels, patches]: bilinear (half-pixel centres), then a Gaussian of `sigma` pixels.

    The Gaussian is cut at 4 sigma and mirrored at the borders; sigma 0 leaves it out.
    """
    position = (np.arange(pixels) + 0.5) * patches / pixels - 0.5
    low = np.floor(position).astype(int)
    share = position - low
    enlarge = np.zeros((pixels, patches))
    rows = np.arange(pixels)
    np.add.at(enlarge, (rows, np.clip(low, 0, patches - 1)), 1 - share)
    np.add.at(enlarge, (rows, np.clip(low + 1, 0, patches - 1)), share)
    if sigma > 0:
        reach = int(4 * sigma + 0.5)
        offsets = np.arange(-reach, reach + 1)
        kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
        kernel /= kernel.sum()
        smooth = np.zeros((pixels, pixels))
        for offset, weight in zip(offsets, kernel, strict=True):
            mirrored = (rows + offset) % (2 * pixels)
            mirrored = np.minimum(mirrored, 2 * pixels - 1 - mirrored)
            smooth[rows, mirrored] += weight
        enlarge = smooth @ enlarge
    return np.asarray(enlarge, np.float32)

"""From patch scores to an anomaly map: bilinear enlargement and Gaussian smoothing as two small matrices.

Both are linear and separable, so together they are `U_h @ patches @ U_w.T`: exact, and a thousand times
cheaper than enlarging first and convolving then.
"""

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


def mean_of_highest(distances: NDArray[np.float32], share: float) -> float:
    """Mean of this share of the patches, the highest ones, and of one at least."""
    count = max(1, round(share * distances.size))
    return float(np.partition(distances.ravel(), distances.size - count)[-count:].mean(dtype=np.float64))


class MapMaker:
    """Turns patch scores [h, w] into a map [height, width]."""

    def __init__(self, grid: tuple[int, int], size: tuple[int, int], sigma: float) -> None:
        self.grid, self.size = grid, size
        self.rows = enlarging_matrix(grid[0], size[0], sigma)
        self.columns = np.ascontiguousarray(enlarging_matrix(grid[1], size[1], sigma).T)

    def __call__(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.rows @ patches @ self.columns, np.float32)

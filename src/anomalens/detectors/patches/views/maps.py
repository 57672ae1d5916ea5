"""From patch scores to an anomaly map: bilinear enlargement and Gaussian smoothing as two small matrices.

Both are linear and separable, so together they are `U_h @ patches @ U_w.T`: exact, and a thousand times
cheaper than enlarging first and convolving then.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomalens.images.enlarging import enlarging_matrix


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

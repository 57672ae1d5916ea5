"""Means of feature maps over square windows of the image, and from windows back to pixels, as small matrices.

Averaging over rectangles is separable: for a tap's map X [h, w] the means over all windows are `R @ X @ C`,
exact also where a window covers a position in part, and two matrix products in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from anomalens.images.enlarging import enlarging_matrix

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """Square windows on an image of `size` (height, width) pixels.

    Attributes
    ----------
    top, left : float64 [rows], [columns]
        Where each row and column of windows begins, in pixels; may lie outside the image.
    side : int
        In pixels.
    """

    size: tuple[int, int]
    top: Doubles
    left: Doubles
    side: int

    @classmethod
    def inside(cls, size: tuple[int, int], side: int, step: int) -> Self:
        """Windows within the image from edge to edge, evenly spaced and at most `step` pixels apart."""
        side = min(side, *size)
        starts = [np.linspace(0, n - side, 1 + -(-(n - side) // step)) for n in size]
        return cls(size, starts[0], starts[1], side)

    @classmethod
    def around_cells(cls, size: tuple[int, int], side: int, step: int) -> Self:
        """A window around each cell of `step` pixels; those at the border reach over it."""
        counts = [max(1, n // step) for n in size]
        starts = [(np.arange(c) + 0.5) * n / c - side / 2 for c, n in zip(counts, size, strict=True)]
        return cls(size, starts[0], starts[1], side)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return len(self.top), len(self.left)

    def pooling(self, cells: tuple[int, int]) -> tuple[Floats, Floats]:
        """Matrices [rows, h] and [w, columns]: the means of a map [h, w] that covers the image.

        What lies outside the image counts as zero (docs/decisions.md says why).
        """
        rows = _overlap(self.top, self.side, cells[0], self.size[0]) / self.side
        columns = _overlap(self.left, self.side, cells[1], self.size[1]) / self.side
        return rows.astype(np.float32), np.ascontiguousarray(columns.T, np.float32)

    def spreading(self, sigma: float = 0.0) -> tuple[Floats, Floats]:
        """Matrices [height, rows] and [columns, width]: each pixel the mean of the windows that cover it.

        Then smoothed with a Gaussian of `sigma` pixels.
        """
        sides = []
        for starts, pixels in zip((self.top, self.left), self.size, strict=True):
            cover = _overlap(starts, self.side, pixels, pixels).T
            cover /= cover.sum(1, keepdims=True)
            sides.append((enlarging_matrix(pixels, pixels, sigma) @ cover).astype(np.float32))
        return sides[0], np.ascontiguousarray(sides[1].T)


def _overlap(starts: Doubles, side: float, cells: int, pixels: int) -> Doubles:
    """How many pixels [windows, cells] each window shares with each cell."""
    edges = np.arange(cells + 1) * pixels / cells
    low = np.maximum(starts[:, None], edges[None, :-1])
    high = np.minimum(starts[:, None] + side, edges[None, 1:])
    return np.asarray(np.maximum(high - low, 0))

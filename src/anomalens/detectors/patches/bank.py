"""The memory bank: nearest-neighbour distances by blocked matrix products.

Distances come from |x − b|² = |x|² + |b|² − 2 x·b around the bank's centre. With the product taken along the
bank's leading principal axes and both norms whole, a search costs two thirds to half. Left out is the product
of the two residuals beyond the axes, so that no distance is below √2 times the residual of its vector: ranks
hardly change where normal patches scatter by more than that, and `overrated` tells where they do not.

Used while fitting, where every fold has a bank of its own; the fitted model searches in its graph
(`search_graph.py`), and `fit` checks that both agree. Call it inside `one_blas_thread`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.threads import on_all_cores

Floats = NDArray[np.float32]

_BLOCK_ROWS: Final = 512  # distances of one block stay in the cache for the minimum
_REGISTER: Final = 16  # float32 numbers in one


class Bank:
    """Vectors of normal patches, ready to be searched.

    Parameters
    ----------
    vectors : float32 [m, c]
    share : float
        Of the vectors' variance that the axes of the search must hold; 1 searches along all of them, which is
        exact.

    Attributes
    ----------
    centre : float32 [c]
    axes : float32 [c, d] or None
        What products are taken along; None for all features as they are.
    factor : float32 [d + 1, m]
        [(x − centre) axes, 1] times it is |b|² − 2 x·b: the norms are one more row, met by a column of ones.
    """

    def __init__(self, vectors: Floats, share: float = 1.0) -> None:
        self.vectors, self._share = vectors, share

    @cached_property
    def centre(self) -> Floats:
        # Distances do not change when both sides are shifted, and small norms keep their digits.
        return np.asarray(self.vectors.mean(0), np.float32)

    @cached_property
    def axes(self) -> Floats | None:
        m, channels = self.vectors.shape
        if self._share >= 1 or not _pays(_REGISTER, m, channels):
            return None
        shifted = self._shifted
        variances, axes = np.linalg.eigh(np.float64(shifted.T @ shifted))
        held = np.cumsum(variances[::-1])
        wanted = 1 + int(np.searchsorted(held, self._share * held[-1]))
        # with the column of ones, rows are a whole number of vector registers
        columns = _REGISTER * -(-(wanted + 1) // _REGISTER)
        if not _pays(columns, m, channels):
            return None
        return np.ascontiguousarray(axes[:, ::-1][:, : columns - 1], np.float32)

    @cached_property
    def factor(self) -> Floats:
        shifted = self._shifted
        norms = np.einsum("ij,ij->i", shifted, shifted)
        along = shifted if self.axes is None else shifted @ self.axes
        return np.ascontiguousarray(np.vstack([-2 * along.T, norms]), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, queries: Floats) -> Floats:
        """Euclidean distance of each query [q, c] to its nearest vector: float32 [q]."""
        x = queries - self.centre
        along = x if self.axes is None else x @ self.axes
        rows = np.ones((len(x), along.shape[1] + 1), np.float32)
        rows[:, :-1] = along
        smallest = np.empty(len(x), np.float32)
        factor = self.factor

        def search(start: int) -> None:
            block = slice(start, start + _BLOCK_ROWS)
            smallest[block] = (rows[block] @ factor).min(1)

        on_all_cores(search, range(0, len(x), _BLOCK_ROWS))
        smallest += np.einsum("ij,ij->i", x, x)
        return np.asarray(np.sqrt(np.maximum(smallest, 0)), np.float32)

    def overrated(self, queries: Floats) -> float:
        """By what factor the distances [q] are longer on average than along all axes."""
        exact = float(Bank(self.vectors).nearest(queries).mean())
        return float(self.nearest(queries).mean()) / max(exact, 1e-12)

    @property
    def _shifted(self) -> Floats:
        return np.asarray(self.vectors - self.centre, np.float32)


def _pays(columns: int, vectors: int, channels: int) -> bool:
    """Whether a search in so many columns, with the product that leads there, is less work than in all."""
    return columns * (vectors + channels) < (channels + 1) * vectors

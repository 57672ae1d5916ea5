"""The memory bank: exact nearest-neighbour distances by blocked matrix products.

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


class Bank:
    """Vectors of normal patches, ready to be searched.

    Parameters
    ----------
    vectors : float32 [m, d]
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    @cached_property
    def _centre(self) -> Floats:
        return np.asarray(self.vectors.mean(0), np.float32)

    @cached_property
    def _factor(self) -> Floats:
        # Distances do not change when both sides are shifted, and small norms keep
        # |x|² + |b|² − 2xb accurate in float32.
        shifted = self.vectors - self._centre
        norms = np.einsum("ij,ij->i", shifted, shifted)
        # One product gives |b|² − 2xb: the norms are one more row, met by a column of ones.
        return np.ascontiguousarray(np.vstack([-2 * shifted.T, norms]), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, queries: Floats) -> Floats:
        """Euclidean distance of each query [q, d] to its nearest vector: float32 [q]."""
        x = self._extend(queries)
        smallest = np.empty(len(x), np.float32)
        factor = self._factor

        def search(start: int) -> None:
            rows = slice(start, start + _BLOCK_ROWS)
            smallest[rows] = (x[rows] @ factor).min(1)

        on_all_cores(search, range(0, len(x), _BLOCK_ROWS))
        smallest += self._norms(x)
        return np.asarray(np.sqrt(np.maximum(smallest, 0)), np.float32)

    def _extend(self, queries: Floats) -> Floats:
        x = np.empty((len(queries), queries.shape[1] + 1), np.float32)
        np.subtract(queries, self._centre, out=x[:, :-1])
        x[:, -1] = 1
        return x

    @staticmethod
    def _norms(x: Floats) -> Floats:
        return np.asarray(np.einsum("ij,ij->i", x[:, :-1], x[:, :-1]), np.float32)

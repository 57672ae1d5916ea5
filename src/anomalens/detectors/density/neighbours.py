"""Nearest vectors by brute force: exact, in blocks, and in no need of a library.

Distances are first worked out as |q|² − 2 q·b + |b|² in float32, one matrix product for many; the few
nearest are then taken again from the differences in float64, so that near copies do not come out as
rounding errors.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.threads import MOST, on_all_cores

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BLOCK_BYTES: Final = 64 * 10**6  # of float32 distances held at a time, by all threads together
_SPARE: Final = 8  # vectors beyond k that are looked at again


class Neighbours:
    """A bank of vectors to search, float32 [n, d]."""

    def __init__(self, vectors: Floats) -> None:
        if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
            raise ValueError("the bank holds no vectors of finite numbers")
        self.vectors = vectors
        # differences from the middle: smaller squares, fewer digits lost
        self._middle = vectors.mean(0, dtype=np.float64).astype(np.float32)
        self._centred = vectors - self._middle
        self._squares = np.einsum("ij,ij->i", self._centred, self._centred)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(
        self, queries: Floats, k: int, *, without: NDArray[np.int64] | None = None
    ) -> tuple[Doubles, NDArray[np.int64]]:
        """The k nearest vectors of each query [m, d], nearest first.

        Parameters
        ----------
        without : int64 [m], optional
            For each query a row of the bank that does not count: itself.

        Returns
        -------
        distances : float64 [m, k]
        rows : int64 [m, k]
        """
        n = len(self.vectors)
        distances = np.empty((len(queries), k))
        rows = np.empty((len(queries), k), np.int64)
        looked = min(n - (without is not None), k + _SPARE)
        if not 1 <= k <= looked:
            raise ValueError(f"{k} neighbours of {n} vectors")

        def search(part: slice) -> None:
            block = queries[part]
            rough = self._squares - 2 * ((block - self._middle) @ self._centred.T)
            if without is not None:
                rough[np.arange(len(block)), without[part]] = np.inf
            # every query by itself: [m, looked, d] in float64 would be large
            for i, query in enumerate(block, start=part.start):
                row = rough[i - part.start]
                few = np.argpartition(row, looked - 1)[:looked] if looked < n else np.arange(n)
                if without is not None:
                    few = few[few != without[i]]
                difference = self.vectors[few].astype(np.float64) - query
                exact = np.einsum("ij,ij->i", difference, difference)
                order = np.lexsort((few, exact))[:k]
                distances[i], rows[i] = np.sqrt(exact[order]), few[order]

        step = max(1, BLOCK_BYTES // (4 * n * MOST))
        parts = [slice(start, min(start + step, len(queries))) for start in range(0, len(queries), step)]
        if len(parts) > 1:
            on_all_cores(search, parts)
        elif parts:
            search(parts[0])
        return distances, rows

    def squared(self, queries: Floats, *, exact: int = 0) -> Doubles:
        """Squared distances [m, n] to every vector, from float32 products; those of the `exact` nearest
        from differences in float64."""
        centred = queries - self._middle
        own = np.einsum("ij,ij->i", centred, centred).astype(np.float64)
        products = (centred @ self._centred.T).astype(np.float64)
        found = np.maximum(own[:, None] - 2 * products + self._squares, 0)
        exact = min(exact, len(self.vectors))
        for row, query in zip(found, queries, strict=True) if exact else ():
            few = np.argpartition(row, exact - 1)[:exact]
            difference = self.vectors[few].astype(np.float64) - query
            row[few] = np.einsum("ij,ij->i", difference, difference)
        return np.asarray(found)


def some_rows(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """All rows, or a random choice of `most`, in order."""
    if n <= most:
        return np.arange(n, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).permutation(n)[:most]).astype(np.int64)

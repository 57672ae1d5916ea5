"""The memory bank: the nearest vector of each patch by blocked matrix products.

Candidates come from |b|² − 2 x·b around the bank's centre, with the product taken along the bank's leading
principal axes and the norms whole: what is left out is the product of the two residuals, 0 on average. The
best candidate of each quarter of the bank is then measured exactly. So a distance is never too short, 0 for a
vector that is in the bank, and on average a thousandth too long (docs/architecture.md), for half the time. A
bank with a vector that would not be found so, because it lies off the axes, is searched along all features.

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

PARTS: Final = 4  # of the bank, each of which gives a candidate
_SHARE: Final = 0.9  # of the bank's variance that the axes hold
_BLOCK_ROWS: Final = 256  # products of one block stay in the cache for the minimum
_REGISTER: Final = 16  # float32 numbers in one
_OFF_AXES: Final = 512  # vectors, those farthest from the axes, that must find themselves
_LEAST: Final = 64  # columns: where one picture is like the next, few axes hold most of the variance


class Bank:
    """Vectors of normal patches, ready to be searched.

    Parameters
    ----------
    vectors : float32 [m, c]

    Attributes
    ----------
    centre : float32 [c]
    shifted : float32 [M, c]
        Vectors less the centre, the first ones once more at the end: M is a multiple of `PARTS`.
    axes : float32 [c, d] or None
        What products are taken along; None for all features as they are.
    factor : float32 [d + 1, M]
        [(x − centre) axes, 1] times it is |b|² − 2 x·b: the norms are one more row, met by a column of ones.
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        self._neighbours: dict[tuple[int, int], NDArray[np.int64]] = {}

    @cached_property
    def centre(self) -> Floats:
        # Distances do not change when both sides are shifted, and small norms keep their digits.
        return np.asarray(self.vectors.mean(0), np.float32)

    @cached_property
    def shifted(self) -> Floats:
        m = len(self)
        repeated = np.arange(PARTS * -(-m // PARTS)) % m
        return np.asarray(self.vectors[repeated] - self.centre, np.float32)

    @cached_property
    def axes(self) -> Floats | None:
        channels = self.vectors.shape[1]
        variances, axes = np.linalg.eigh(np.float64(self.shifted.T @ self.shifted))
        held = np.cumsum(variances[::-1])
        wanted = 1 + int(np.searchsorted(held, _SHARE * held[-1]))
        # with the column of ones, rows are a whole number of vector registers
        columns = max(_LEAST, _REGISTER * -(-(wanted + 1) // _REGISTER))
        if columns > channels:
            return None
        leading = np.ascontiguousarray(axes[:, ::-1][:, : columns - 1], np.float32)
        return leading if self._finds_itself(leading) else None

    @cached_property
    def factor(self) -> Floats:
        along = self.shifted if self.axes is None else self.shifted @ self.axes
        return np.ascontiguousarray(np.vstack([-2 * along.T, self._norms]), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, queries: Floats) -> Floats:
        """Euclidean distance of each query [q, c] to the nearest vector that is found: float32 [q]."""
        x = queries - self.centre
        along = x if self.axes is None else x @ self.axes
        rows = np.ones((len(x), along.shape[1] + 1), np.float32)
        rows[:, :-1] = along
        found = np.empty(len(x), np.float32)
        factor = self.factor

        def search(start: int) -> None:
            block = slice(start, start + _BLOCK_ROWS)
            found[block] = self._measured(rows[block] @ factor, x[block])

        on_all_cores(search, range(0, len(x), _BLOCK_ROWS))
        return np.asarray(np.sqrt(found), np.float32)

    def closest(self, query: Floats) -> int:
        """Row of the vector that is nearest to one query [c], among all."""
        products = self.shifted @ (query - self.centre)
        return int((self._norms - 2 * products).argmin()) % len(self)

    def neighbours(self, row: int, count: int) -> NDArray[np.int64]:
        """Rows [count] of the vectors nearest to one of them, itself included; remembered."""
        if (row, count) not in self._neighbours:
            around = exact_distances(self.vectors, self.vectors[row])
            nearest = np.argpartition(around, count - 1)[:count]
            self._neighbours[row, count] = nearest.copy()  # a view would keep all m places
        return self._neighbours[row, count]

    def _measured(self, products: Floats, x: Floats) -> Floats:
        """Squared distance [q] of shifted queries [q, c] to the best that |b|² − 2 x·b [q, M] names."""
        part = len(self.shifted) // PARTS
        places = products.reshape(len(products), PARTS, part).argmin(2) + np.arange(PARTS) * part
        apart = self.shifted[places] - x[:, None]
        return np.asarray(np.einsum("qpc,qpc->qp", apart, apart).min(1), np.float32)

    def _finds_itself(self, axes: Floats) -> bool:
        """Whether the vectors that lie farthest off the axes are found along them."""
        along = self.shifted @ axes
        beyond = self._norms - np.einsum("ij,ij->i", along, along)
        rows = np.argsort(beyond)[-_OFF_AXES:]
        products = self._norms - 2 * along[rows] @ along.T
        return not self._measured(products, self.shifted[rows]).any()

    @cached_property
    def _norms(self) -> Floats:
        return np.asarray(np.einsum("ij,ij->i", self.shifted, self.shifted), np.float32)


def largest_change(found: Floats, expected: Floats) -> float:
    """How far two runs of a search, or maps of theirs, are apart, but for one place in a hundred.

    Of two candidates that are as good as equal another rounding may name the other one.
    """
    return float(np.quantile(np.abs(found - expected), 0.99))


def exact_distances(vectors: Floats, query: Floats) -> NDArray[np.float64]:
    """Euclidean distances [m] of one query [d] to all vectors."""
    difference = vectors - query
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", difference, difference).astype(np.float64)))

"""The memory bank: the nearest vector of each patch by blocked matrix products.

Candidates come from |b|² − 2 x·b around the bank's centre, with the product taken along the bank's leading
principal axes and the norms whole: what is left out is the product of the two residuals, 0 on average. The
best candidate of each quarter of the bank is then measured exactly. So a distance is never too short, 0 for a
vector that is in the bank, and on average a thousandth too long (docs/decisions.md), for half the time. A
bank with a vector that would not be found so, because it lies off the axes, is searched along all features.

Call it inside `one_blas_thread`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.view import Floats, Grid, View
from anomalens.threads import on_all_cores

PARTS: Final = 4  # of the bank, each of which gives a candidate
_SHARE: Final = 0.9  # of the bank's variance that the axes hold
_BLOCK_ROWS: Final = 256  # products of one block stay in the cache for the minimum
_REGISTER: Final = 16  # float32 numbers in one
_OFF_AXES: Final = 512  # vectors, those farthest from the axes, that must find themselves
_LEAST: Final = 64  # columns: where one picture is like the next, few axes hold most of the variance


class Bank(View):
    """Vectors of normal patches, ready to be searched.

    Parameters
    ----------
    vectors : float32 [m, c]
    weights : float32 [m], optional
        What distances to each vector are multiplied by.

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

    def __init__(self, vectors: Floats, weights: Floats | None = None) -> None:
        self.vectors, self.weights = vectors, weights
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

    def distances(self, x: Floats) -> Floats:
        """Euclidean distance of each patch [p, c] to the nearest vector that is found: float32 [p]."""
        x = x - self.centre
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

    def append(self, graph: Graph, source: str, name: str, grid: Grid) -> str:
        """Add the same search as nodes."""
        channels, part = len(self.centre), len(self.shifted) // PARTS
        rows = graph.add("Reshape", [source, [-1, channels]], f"{name}/patches")
        x = graph.add("Sub", [rows, self.centre], f"{name}/shifted")
        # a column of ones brings the norms into the product: adding them afterwards would read and write all
        # distances once more, which takes ONNX Runtime longer than the product where a bank is large
        if self.axes is None:
            along = graph.add("Pad", [x, [0, 0, 0, 1], np.float32(1)], f"{name}/along")
        else:
            last = np.zeros(self.axes.shape[1] + 1, np.float32)
            last[-1] = 1
            along = graph.add("Gemm", [x, np.pad(self.axes, ((0, 0), (0, 1))), last], f"{name}/along")
        partial = graph.add("MatMul", [along, self.factor], f"{name}/partial")
        # the best of each part, by its place there: a search for the best few of all is many times slower
        parts = graph.add("Reshape", [partial, [-1, part]], f"{name}/parts")
        _, best = graph.smallest(parts, 1, f"{name}/best")
        within = graph.add("Reshape", [best, [-1, PARTS]], f"{name}/within")
        places = graph.add("Add", [within, [number * part for number in range(PARTS)]], f"{name}/places")
        candidates = graph.add("Gather", [self.shifted, places], f"{name}/candidates", axis=0)
        one_each = graph.add("Reshape", [x, [-1, 1, channels]], f"{name}/one_each_row")
        apart = graph.add("Sub", [candidates, one_each], f"{name}/apart")
        squared = graph.squared_norms(apart, channels, f"{name}/squared")
        if self.weights is not None:
            factors = graph.add("Gather", [self._factors[:, None], places], f"{name}/factors", axis=0)
            squared = graph.add("Mul", [squared, factors], f"{name}/weighted")
        smallest = graph.reduce("ReduceMin", squared, f"{name}/smallest", axis=1)
        distance = graph.add("Sqrt", [smallest], f"{name}/distance")
        return graph.add("Reshape", [distance, [-1, *grid]], name)

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
        squared = np.einsum("qpc,qpc->qp", apart, apart)
        if self.weights is not None:
            squared *= self._factors[places]
        return np.asarray(squared.min(1), np.float32)

    def _finds_itself(self, axes: Floats) -> bool:
        """Whether the vectors that lie farthest off the axes are found along them."""
        along = self.shifted @ axes
        beyond = self._norms - np.einsum("ij,ij->i", along, along)
        rows = np.argsort(beyond)[-_OFF_AXES:]
        products = self._norms - 2 * along[rows] @ along.T
        return not self._measured(products, self.shifted[rows]).any()

    @cached_property
    def _factors(self) -> Floats:
        """Squared weights of the shifted vectors."""
        assert self.weights is not None
        repeated = np.arange(len(self.shifted)) % len(self)
        return np.asarray(np.square(self.weights[repeated]), np.float32)

    @cached_property
    def _norms(self) -> Floats:
        return np.asarray(np.einsum("ij,ij->i", self.shifted, self.shifted), np.float32)


def exact_distances(vectors: Floats, query: Floats) -> NDArray[np.float64]:
    """Euclidean distances [m] of one query [d] to all vectors."""
    difference = vectors - query
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", difference, difference).astype(np.float64)))

"""From distances of patches to an anomaly map: a weighted sum of views, enlarged and smoothed.

Bilinear enlargement and Gaussian smoothing are linear and separable, so together they are two small matrices,
`U_h @ patches @ U_w.T`: exact, and a thousand times cheaper than enlarging first and convolving then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.view import Floats
from anomalens.images.enlarging import enlarging_matrix

MAP: Final = "anomaly_map"


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

    def __call__(self, patches: NDArray[np.float32]) -> Floats:
        return np.asarray(self.rows @ patches @ self.columns, np.float32)

    def append(self, graph: Graph, patches: str, name: str) -> str:
        """Add the same as nodes, from patches [n, h, w] to `name` [n, height, width]."""
        tall = graph.add("MatMul", [self.rows, patches], f"{name}/tall")
        return graph.add("MatMul", [tall, self.columns], name)


@dataclass(frozen=True)
class Term:
    """A view's part in the map: its name, its weight and what enlarges its grid."""

    view: str
    weight: float
    maker: MapMaker


@dataclass(frozen=True)
class Drawing:
    """A map: the weighted sum of some views' distances, and an offset."""

    terms: tuple[Term, ...]
    offset: float = 0.0

    def __call__(self, grids: Mapping[str, Floats]) -> Floats:
        """The map [height, width] of grids [h, w] by view."""
        total: Floats | None = None
        for number, (maker, terms) in enumerate(self._by_maker()):
            mixed = np.zeros(maker.grid, np.float32)
            for term in terms:
                mixed = mixed + term.weight * grids[term.view]
            drawn = maker(mixed if number else mixed + np.float32(self.offset))
            total = drawn if total is None else total + drawn
        assert total is not None
        return total

    def append(self, graph: Graph) -> str:
        """Add `anomaly_map` [n, height, width], of tensors [n, h, w] that are called as the views."""
        groups = self._by_maker()
        drawn = ""
        for number, (maker, terms) in enumerate(groups):
            stem = f"{MAP}/{number}"
            total = ""
            for place, term in enumerate(terms):
                scaled = term.view
                if term.weight != 1:
                    scaled = graph.add("Mul", [scaled, np.float32(term.weight)], f"{stem}/scaled{place}")
                total = graph.add("Add", [total, scaled], f"{stem}/sum{place}") if total else scaled
            if self.offset and not number:
                total = graph.add("Add", [total, np.float32(self.offset)], f"{stem}/shifted")
            one = maker.append(graph, total, MAP if len(groups) == 1 else f"{stem}/drawn")
            last = number == len(groups) - 1
            drawn = graph.add("Add", [drawn, one], MAP if last else f"{stem}/all") if drawn else one
        return drawn

    def _by_maker(self) -> list[tuple[MapMaker, list[Term]]]:
        """Views of one grid are added before they are enlarged."""
        groups: dict[int, tuple[MapMaker, list[Term]]] = {}
        for term in self.terms:
            groups.setdefault(id(term.maker), (term.maker, []))[1].append(term)
        return list(groups.values())

"""What a view is: it says how far patches are from normal, in numpy and as nodes of a graph.

While fitting, every fold has a model of its own and distances come from numpy; from then on one graph
scores, from the image to the map, which keeps all threads in one pool (with features from a runtime and
distances from a BLAS each waited busily on threads of its own, and an image took half as long again). Both
stand in one class, and `scoring.py` compares them on real images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph

Floats = NDArray[np.float32]
Grid = tuple[int, int]


class View(ABC):
    """A model of normal patches."""

    @abstractmethod
    def distances(self, x: Floats) -> Floats:
        """How far the features [p, c] of one image's patches are from normal: float32 [p]."""

    @abstractmethod
    def append(self, graph: Graph, source: str, name: str, grid: Grid) -> str:
        """Add the same as nodes, from features `source` [1, h, w, c] to `name` [1, h, w]; returns `name`."""


def as_grid(graph: Graph, squared: str, name: str, grid: Grid) -> str:
    """Add the roots of squared distances [h · w, 1] as the grid `name` [1, h, w]."""
    distance = graph.add("Sqrt", [squared], f"{name}/distance")
    return graph.add("Reshape", [distance, [1, *grid]], name)

"""Squared distances of patches to constant vectors, as nodes."""

from __future__ import annotations

import numpy as np

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.view import Floats


def append_squared_distances(graph: Graph, rows: str, vectors: Floats, name: str) -> str:
    """Add the squared Euclidean distances [p, m] of `rows` [p, d] to constant `vectors` [m, d]."""
    # Distances do not change when both sides are shifted, and small norms keep |x|² + |b|² − 2xb accurate.
    centre = np.asarray(vectors.mean(0), np.float32)
    shifted = vectors - centre
    factor = np.ascontiguousarray(-2 * shifted.T, dtype=np.float32)
    x = graph.add("Sub", [rows, centre], f"{name}/shifted")
    products = graph.add("MatMul", [x, factor], f"{name}/products")
    norms = np.einsum("ij,ij->i", shifted, shifted).astype(np.float32)
    partial = graph.add("Add", [products, norms], f"{name}/partial")
    own = graph.squared_norms(x, vectors.shape[1], f"{name}/own")
    squared = graph.add("Add", [partial, own], f"{name}/squared")
    return graph.add("Relu", [squared], f"{name}/clipped")  # rounding can go below 0

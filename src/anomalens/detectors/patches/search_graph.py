"""The nearest-neighbour search and the map as the last nodes of the network's graph.

One graph from the image to the map keeps all threads in one pool. With features from a runtime and distances
from a BLAS, each waits busily on threads of its own while the other works, and an image took half as long
again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.maps import MapMaker

NEAREST: Final = "nearest"
MAP: Final = "anomaly_map"


def append_search(graph: bytes, vectors: NDArray[np.float32], maps: MapMaker) -> bytes:
    """Add to a patch-embedding graph each patch's distance to its nearest vector, and the map of them.

    Parameters
    ----------
    graph : bytes
        As `patch_embedding` gives it: output `embedding`, float32 [n, h, w, c].
    vectors : float32 [m, c]
        The memory bank.
    maps : MapMaker
        Made for the embedding's grid (h, w) and the image's (height, width).

    Returns
    -------
    bytes
        A graph with the outputs `embedding`, `nearest`, float32 [n, h, w], Euclidean, and `anomaly_map`,
        float32 [n, height, width].
    """
    edited = Graph.parse(graph)
    channels = vectors.shape[1]
    (height, h), (w, width) = maps.rows.shape, maps.columns.shape
    # Distances do not change when both sides are shifted, and small norms keep |x|² + |b|² − 2xb accurate.
    centre = vectors.mean(0)
    shifted = vectors - centre
    values = {
        "rows": np.array([-1, channels], np.int64),
        "centre": centre.astype(np.float32),
        "factor": np.ascontiguousarray(-2 * shifted.T, dtype=np.float32),
        "norms": np.einsum("ij,ij->i", shifted, shifted).astype(np.float32),
        "ones": np.ones((channels, 1), np.float32),
        "grid": np.array([-1, h, w], np.int64),
        "rows_of_map": maps.rows,
        "columns_of_map": maps.columns,
        "axes": np.array([1], np.int64),
    }
    name = {key: edited.constant(f"{NEAREST}/{key}", value) for key, value in values.items()}
    rows = edited.add("Reshape", [EMBEDDING, name["rows"]], f"{NEAREST}/patches")
    x = edited.add("Sub", [rows, name["centre"]], f"{NEAREST}/shifted")
    products = edited.add("MatMul", [x, name["factor"]], f"{NEAREST}/products")
    partial = edited.add("Add", [products, name["norms"]], f"{NEAREST}/partial")
    if edited.opset >= 18:  # where the axes became an input
        smallest = edited.add("ReduceMin", [partial, name["axes"]], f"{NEAREST}/smallest", keepdims=1)
    else:
        smallest = edited.add("ReduceMin", [partial], f"{NEAREST}/smallest", axes=[1], keepdims=1)
    squares = edited.add("Mul", [x, x], f"{NEAREST}/squares")
    own = edited.add("MatMul", [squares, name["ones"]], f"{NEAREST}/own")
    squared = edited.add("Add", [smallest, own], f"{NEAREST}/squared")
    clipped = edited.add("Relu", [squared], f"{NEAREST}/clipped")  # rounding can go below 0
    distance = edited.add("Sqrt", [clipped], f"{NEAREST}/distance")
    edited.add("Reshape", [distance, name["grid"]], NEAREST)
    tall = edited.add("MatMul", [name["rows_of_map"], NEAREST], f"{MAP}/tall")
    edited.add("MatMul", [tall, name["columns_of_map"]], MAP)
    return edited.finish(
        [(EMBEDDING, ["n", h, w, channels]), (NEAREST, ["n", h, w]), (MAP, ["n", height, width])]
    )

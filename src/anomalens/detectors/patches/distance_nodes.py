"""Nodes that detectors' graphs are made of: reductions, squared distances, the few smallest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph

Floats = NDArray[np.float32]


def reduce_axis(edited: Graph, kind: str, value: str, name: str, *, axis: int, keep: bool) -> str:
    """A ReduceMin, ReduceMean or the like over one axis, in any opset."""
    if kind == "ReduceSum" or edited.opset >= 18:  # where the axes became an input
        axes = edited.constant(f"{name}/axes", np.array([axis], np.int64))
        return edited.add(kind, [value, axes], name, keepdims=int(keep))
    return edited.add(kind, [value], name, axes=[axis], keepdims=int(keep))


def append_squared_distances(edited: Graph, rows: str, vectors: Floats, stem: str) -> str:
    """Add the squared Euclidean distances [p, m] of `rows` [p, d] to constant `vectors` [m, d]."""
    # Distances do not change when both sides are shifted, and small norms keep |x|² + |b|² − 2xb accurate.
    centre = vectors.mean(0)
    shifted = vectors - centre
    values = {
        "centre": centre.astype(np.float32),
        "factor": np.ascontiguousarray(-2 * shifted.T, dtype=np.float32),
        "norms": np.einsum("ij,ij->i", shifted, shifted).astype(np.float32),
        "ones": np.ones((vectors.shape[1], 1), np.float32),
    }
    name = {key: edited.constant(f"{stem}/{key}", value) for key, value in values.items()}
    x = edited.add("Sub", [rows, name["centre"]], f"{stem}/shifted")
    products = edited.add("MatMul", [x, name["factor"]], f"{stem}/products")
    partial = edited.add("Add", [products, name["norms"]], f"{stem}/partial")
    squares = edited.add("Mul", [x, x], f"{stem}/squares")
    own = edited.add("MatMul", [squares, name["ones"]], f"{stem}/own")
    squared = edited.add("Add", [partial, own], f"{stem}/squared")
    return edited.add("Relu", [squared], f"{stem}/clipped")  # rounding can go below 0


def append_smallest(edited: Graph, value: str, count: int, stem: str) -> tuple[str, str]:
    """Add the `count` smallest of each row [p, m], smallest first, and their places: both [p, count]."""
    from onnx import helper

    k = edited.constant(f"{stem}/count", np.array([count], np.int64))
    names = (f"{stem}/values", f"{stem}/places")
    edited.model.graph.node.append(
        helper.make_node("TopK", [value, k], names, name=stem, axis=1, largest=0, sorted=1)
    )
    return names

"""SPADE's two searches as the last nodes of the network's graph: similar images, then similar positions.

Which gallery images are searched depends on the image, so each is gathered by its number: one [p, q] block of
distances at a time stays in the cache, and memory does not grow with the number of references.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.distance_nodes import append_smallest, append_squared_distances, reduce_axis
from anomalens.detectors.patches.maps import MapMaker
from anomalens.detectors.patches.window_network import POOLED

RETRIEVAL: Final = "retrieval"
NEAREST: Final = "nearest"
MAP: Final = "anomaly_map"
_FLOAT: Final = 1  # onnx.TensorProto.FLOAT

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Gallery:
    """What is known of the normal images.

    Attributes
    ----------
    pooled : float32 [n, c]
        A vector of each image; the first g are those of which positions are kept.
    positions : float16 [g, d, p]
        Projected features of every position.
    centre, axes : float32 [c'], [c', d]
        The projection of a position's features.
    """

    pooled: Floats
    positions: NDArray[np.float16]
    centre: Floats
    axes: Floats

    def project(self, features: Floats) -> Floats:
        """Features [p, c'] → [p, d]."""
        return np.asarray((features - self.centre) @ self.axes)

    def subset(self, taken: NDArray[np.bool_]) -> Gallery | None:
        """Only some of the images, bool [n]; None where of no one positions are left."""
        kept = len(self.positions)
        if not taken[:kept].any():
            return None
        return replace(self, pooled=self.pooled[taken], positions=self.positions[taken[:kept]])


def append_retrieval(
    graph: bytes, gallery: Gallery, *, n_neighbors: int, n_references: int, maps: MapMaker
) -> bytes:
    """Add both searches and the map.

    Parameters
    ----------
    graph : bytes
        With the outputs `embedding`, float32 [1, h, w, c'], and `pooled`, float32 [1, c].
    gallery : Gallery
    n_neighbors, n_references : int
        Images that the image's score is the mean distance to, and whose positions are searched; not more
        than there are.
    maps : MapMaker
        Made for the embedding's grid (h, w) and the image's (height, width).

    Returns
    -------
    bytes
        A graph with the outputs `embedding`, `retrieval`, float32 [1], `nearest`, float32 [1, h, w], and
        `anomaly_map`, float32 [1, height, width].
    """
    edited = Graph.parse(graph)
    (height, h), (w, width) = maps.rows.shape, maps.columns.shape
    channels, _ = gallery.axes.shape
    kept = len(gallery.positions)

    to_images = append_squared_distances(edited, POOLED, gallery.pooled, RETRIEVAL)
    few, _ = append_smallest(edited, to_images, n_neighbors, f"{RETRIEVAL}/few")
    lengths = edited.add("Sqrt", [few], f"{RETRIEVAL}/lengths")
    reduce_axis(edited, "ReduceMean", lengths, RETRIEVAL, axis=1, keep=False)

    bounds = [
        edited.constant(f"{NEAREST}/{key}", np.array([value], np.int64))
        for key, value in (("from", 0), ("to", kept), ("axis", 1))
    ]
    to_kept = edited.add("Slice", [to_images, *bounds], f"{NEAREST}/to_kept")
    _, numbers = append_smallest(edited, to_kept, n_references, f"{NEAREST}/references")

    rows = edited.constant(f"{NEAREST}/rows", np.array([h * w, channels], np.int64))
    patches = edited.add("Reshape", [EMBEDDING, rows], f"{NEAREST}/patches")
    centre = edited.constant(f"{NEAREST}/centre", gallery.centre)
    shifted = edited.add("Sub", [patches, centre], f"{NEAREST}/centred")
    axes = edited.constant(f"{NEAREST}/axes", gallery.axes)
    x = edited.add("MatMul", [shifted, axes], f"{NEAREST}/projected")

    # −2 is a power of two: the half-precision values stay what they are
    positions = edited.constant(f"{NEAREST}/positions", np.float16(-2) * gallery.positions)
    squares = np.stack([np.einsum("dp,dp->p", b, b) for b in _singles(gallery.positions)])
    norms = edited.constant(f"{NEAREST}/norms", squares)
    smallest = ""
    for i in range(n_references):
        stem = f"{NEAREST}/{i}"
        place = edited.constant(f"{stem}/place", np.int64(i))
        number = edited.add("Gather", [numbers, place], f"{stem}/number", axis=1)  # [1]
        half = edited.add("Gather", [positions, number], f"{stem}/half", axis=0)  # [1, d, p]
        block = edited.add("Cast", [half], f"{stem}/block", to=_FLOAT)
        products = edited.add("MatMul", [x, block], f"{stem}/products")  # [1, q, p]
        own = edited.add("Gather", [norms, number], f"{stem}/norms", axis=0)
        distance = edited.add("Add", [products, own], f"{stem}/distance")
        least = reduce_axis(edited, "ReduceMin", distance, f"{stem}/least", axis=2, keep=False)  # [1, q]
        smallest = edited.add("Min", [smallest, least], f"{stem}/min") if smallest else least
    squared = edited.add("Mul", [x, x], f"{NEAREST}/squares")
    mine = reduce_axis(edited, "ReduceSum", squared, f"{NEAREST}/own", axis=1, keep=False)
    total = edited.add("Add", [smallest, mine], f"{NEAREST}/total")
    clipped = edited.add("Relu", [total], f"{NEAREST}/clipped")  # rounding can go below 0
    root = edited.add("Sqrt", [clipped], f"{NEAREST}/root")
    grid = edited.constant(f"{NEAREST}/grid", np.array([1, h, w], np.int64))
    edited.add("Reshape", [root, grid], NEAREST)
    tall = edited.add("MatMul", [edited.constant(f"{MAP}/rows", maps.rows), NEAREST], f"{MAP}/tall")
    edited.add("MatMul", [tall, edited.constant(f"{MAP}/columns", maps.columns)], MAP)
    return edited.finish(
        [
            (EMBEDDING, [1, h, w, channels]),
            (RETRIEVAL, [1]),
            (NEAREST, [1, h, w]),
            (MAP, [1, height, width]),
        ]
    )


def _singles(positions: NDArray[np.float16]) -> list[Floats]:
    return [block.astype(np.float32) for block in positions]

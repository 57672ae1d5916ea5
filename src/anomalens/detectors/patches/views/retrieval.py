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
from anomalens.backbones.graph_surgery import FLOAT, Graph
from anomalens.detectors.patches.views.distances import append_squared_distances
from anomalens.detectors.patches.views.maps import MAP, MapMaker
from anomalens.detectors.patches.views.view import Floats
from anomalens.detectors.patches.window_network import POOLED

RETRIEVAL: Final = "retrieval"
NEAREST: Final = "nearest"


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
        A graph with the outputs `retrieval`, float32 [1], and `anomaly_map`, float32 [1, height, width].
    """
    edited = Graph.parse(graph)
    h, w = maps.grid
    to_images = append_squared_distances(edited, POOLED, gallery.pooled, RETRIEVAL)
    few, _ = edited.smallest(to_images, n_neighbors, f"{RETRIEVAL}/few")
    lengths = edited.add("Sqrt", [few], f"{RETRIEVAL}/lengths")
    edited.reduce("ReduceMean", lengths, RETRIEVAL, axis=1)

    kept = [[0], [len(gallery.positions)], [1]]
    to_kept = edited.add("Slice", [to_images, *kept], f"{NEAREST}/to_kept")
    _, numbers = edited.smallest(to_kept, n_references, f"{NEAREST}/references")
    patches = edited.add("Reshape", [EMBEDDING, [h * w, len(gallery.axes)]], f"{NEAREST}/patches")
    shifted = edited.add("Sub", [patches, gallery.centre], f"{NEAREST}/centred")
    x = edited.add("MatMul", [shifted, gallery.axes], f"{NEAREST}/projected")

    # −2 is a power of two: the half-precision values stay what they are
    positions = edited.constant(f"{NEAREST}/positions", np.float16(-2) * gallery.positions)
    squares = np.stack([np.einsum("dp,dp->p", b, b) for b in _singles(gallery.positions)])
    norms = edited.constant(f"{NEAREST}/norms", squares)
    smallest = ""
    for i in range(n_references):
        stem = f"{NEAREST}/{i}"
        number = edited.add("Gather", [numbers, np.int64(i)], f"{stem}/number", axis=1)  # [1]
        half = edited.add("Gather", [positions, number], f"{stem}/half", axis=0)  # [1, d, p]
        block = edited.add("Cast", [half], f"{stem}/block", to=FLOAT)
        products = edited.add("MatMul", [x, block], f"{stem}/products")  # [1, q, p]
        own = edited.add("Gather", [norms, number], f"{stem}/norms", axis=0)
        distance = edited.add("Add", [products, own], f"{stem}/distance")
        least = edited.reduce("ReduceMin", distance, f"{stem}/least", axis=2)  # [1, q]
        smallest = edited.add("Min", [smallest, least], f"{stem}/min") if smallest else least
    squared = edited.add("Mul", [x, x], f"{NEAREST}/squares")
    mine = edited.reduce("ReduceSum", squared, f"{NEAREST}/own", axis=1)
    total = edited.add("Add", [smallest, mine], f"{NEAREST}/total")
    clipped = edited.add("Relu", [total], f"{NEAREST}/clipped")  # rounding can go below 0
    root = edited.add("Sqrt", [clipped], f"{NEAREST}/root")
    edited.add("Reshape", [root, [1, h, w]], NEAREST)
    maps.append(edited, NEAREST, MAP)
    return edited.finish([(RETRIEVAL, [1]), (MAP, [1, *maps.size])])


def _singles(positions: NDArray[np.float16]) -> list[Floats]:
    return [block.astype(np.float32) for block in positions]

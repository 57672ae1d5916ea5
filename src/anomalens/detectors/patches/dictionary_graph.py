"""Self-similarity as the last nodes of a network's graph: sub-images to a map, the image to a distance."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.distance_nodes import append_smallest, append_squared_distances, reduce_axis
from anomalens.detectors.patches.window_network import POOLED
from anomalens.detectors.patches.windows import Windows
from anomalens.detectors.patches.words import LEAST, Words

LOCAL: Final = "local"
GLOBAL: Final = "global"
MAP: Final = "anomaly_map"


Floats = NDArray[np.float32]


def append_words(edited: Graph, value: str, words: Words, stem: str) -> str:
    """Add the standardised distances [p, 1] of features `value` [p, c]."""
    least = edited.constant(f"{stem}/least", np.float32(LEAST))
    size = edited.add("Abs", [value], f"{stem}/sizes")
    norm = reduce_axis(edited, "ReduceSum", size, f"{stem}/norm", axis=1, keep=True)
    unit = edited.add("Div", [value, edited.add("Max", [norm, least], f"{stem}/positive")], f"{stem}/unit")
    centred = edited.add("Sub", [unit, edited.constant(f"{stem}/centre", words.centre)], f"{stem}/centred")
    x = edited.add("MatMul", [centred, edited.constant(f"{stem}/axes", words.axes)], f"{stem}/x")
    squared = append_squared_distances(edited, x, words.words, f"{stem}/to_words")
    few, places = append_smallest(edited, squared, words.n_nearest, f"{stem}/few")
    roots = edited.add("Sqrt", [few], f"{stem}/roots")
    distance = reduce_axis(edited, "ReduceMean", roots, f"{stem}/distance", axis=1, keep=True)
    first = edited.constant(f"{stem}/first", np.array([0], np.int64))
    nearest = edited.add("Gather", [places, first], f"{stem}/nearest", axis=1)  # [p, 1]
    middles = edited.constant(f"{stem}/middles", words.middle)
    deviations = edited.constant(f"{stem}/deviations", words.deviation)
    middle = edited.add("Gather", [middles, nearest], f"{stem}/middle", axis=0)
    deviation = edited.add("Gather", [deviations, nearest], f"{stem}/deviation", axis=0)
    return edited.add(
        "Div", [edited.add("Sub", [distance, middle], f"{stem}/excess"), deviation], f"{stem}/scores"
    )


def append_dictionary(
    graph: bytes,
    *,
    channels: int,
    words: Words,
    middle: Floats,
    whitening: Floats,
    windows: Windows,
    sigma: float,
) -> bytes:
    """Add the sub-images' scores, the map of them, and the whole image's Mahalanobis distance.

    Parameters
    ----------
    graph : bytes
        As `window_network` makes it: `embedding` [1, rows, columns, channels] and `pooled` [1, c].
    channels : int
    words : Words
    middle, whitening : float32 [c], [c, c]
        Of the pooled features of normal images.
    windows : Windows
    sigma : float
        Smoothing of the map, in pixels.

    Returns
    -------
    bytes
        A graph with the outputs `local`, float32 [1, rows, columns], `global`, float32 [1, 1], and
        `anomaly_map`, float32 [1, height, width].
    """
    edited = Graph.parse(graph)
    shape = edited.constant(f"{LOCAL}/shape", np.array([-1, channels], np.int64))
    rows = edited.add("Reshape", [EMBEDDING, shape], f"{LOCAL}/rows")
    scores = append_words(edited, rows, words, LOCAL)
    grid = edited.constant(f"{LOCAL}/grid", np.array([1, *windows.grid], np.int64))
    edited.add("Reshape", [scores, grid], LOCAL)
    down, across = windows.spreading(sigma)
    tall = edited.add("MatMul", [edited.constant(f"{MAP}/rows", down), LOCAL], f"{MAP}/tall")
    edited.add("MatMul", [tall, edited.constant(f"{MAP}/columns", across)], MAP)
    centred = edited.add("Sub", [POOLED, edited.constant(f"{GLOBAL}/middle", middle)], f"{GLOBAL}/centred")
    white = edited.add(
        "MatMul", [centred, edited.constant(f"{GLOBAL}/whitening", whitening)], f"{GLOBAL}/white"
    )
    squares = edited.add("Mul", [white, white], f"{GLOBAL}/squares")
    total = reduce_axis(edited, "ReduceSum", squares, f"{GLOBAL}/total", axis=1, keep=True)
    edited.add("Sqrt", [total], GLOBAL)
    return edited.finish([(LOCAL, [1, *windows.grid]), (GLOBAL, [1, 1]), (MAP, [1, *windows.size])])

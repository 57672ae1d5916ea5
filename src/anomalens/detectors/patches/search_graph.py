"""Distances of patches and the map as the last nodes of the network's graph.

One graph from the image to the map keeps all threads in one pool. With features from a runtime and distances
from a BLAS, each waits busily on threads of its own while the other works, and an image took half as long
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.bank import PARTS, Bank
from anomalens.detectors.patches.distance_nodes import append_smallest, reduce_axis
from anomalens.detectors.patches.image_components import ImageComponents
from anomalens.detectors.patches.maps import MapMaker
from anomalens.detectors.patches.position_gaussians import PositionGaussians
from anomalens.detectors.patches.shared_gaussians import SharedGaussians

NEAREST: Final = "nearest"
UNLIKELY: Final = "mahalanobis"
LAYOUT: Final = "layout"
FINE_DISTANCE: Final = "fine_distance"
MAP: Final = "anomaly_map"

Grid = tuple[int, int]


def append_search(graph: bytes, bank: Bank, maps: MapMaker) -> bytes:
    """Add to a patch-embedding graph each patch's distance to its nearest vector, and the map of them.

    Parameters
    ----------
    graph : bytes
        As `patch_embedding` gives it: output `embedding`, float32 [n, h, w, c].
    bank : Bank
        Of m vectors of c features.
    maps : MapMaker
        Made for the embedding's grid (h, w) and the image's (height, width).

    Returns
    -------
    bytes
        A graph with the outputs `embedding`, `nearest`, float32 [n, h, w], Euclidean, and `anomaly_map`,
        float32 [n, height, width].
    """
    edited = Graph.parse(graph)
    h, w = maps.grid
    append_nearest(edited, EMBEDDING, bank, maps.grid)
    append_map(edited, [(NEAREST, 1.0)], maps)
    outputs: list[tuple[str, Sequence[int | str]]] = [
        (EMBEDDING, ["n", h, w, len(bank.centre)]),
        (NEAREST, ["n", h, w]),
        (MAP, ["n", *maps.size]),
    ]
    return edited.finish(outputs)


def append_nearest(edited: Graph, source: str, bank: Bank, grid: Grid) -> str:
    """Add `nearest` [n, h, w]: the distance of each row of `source` [n, h, w, c] to its nearest vector.

    As `Bank.nearest` has it.
    """
    channels = len(bank.centre)
    part = len(bank.shifted) // PARTS
    values: dict[str, NDArray[Any]] = {
        "rows": np.array([-1, channels], np.int64),
        "centre": bank.centre,
        "factor": bank.factor,
        "by_part": np.array([-1, part], np.int64),
        "by_row": np.array([-1, PARTS], np.int64),
        "first": np.arange(PARTS, dtype=np.int64) * part,
        "vectors": bank.shifted,
        "one_each": np.array([-1, 1, channels], np.int64),
        "ones": np.ones((channels, 1), np.float32),
        "grid": np.array([-1, *grid], np.int64),
    }
    name = {key: edited.constant(f"{NEAREST}/{key}", value) for key, value in values.items()}
    rows = edited.add("Reshape", [source, name["rows"]], f"{NEAREST}/patches")
    x = edited.add("Sub", [rows, name["centre"]], f"{NEAREST}/shifted")
    along = _append_along(edited, x, bank.axes)
    partial = edited.add("MatMul", [along, name["factor"]], f"{NEAREST}/partial")
    # the best of each part, by its place there: a search for the best few of all is many times slower
    parts = edited.add("Reshape", [partial, name["by_part"]], f"{NEAREST}/parts")
    _, best = append_smallest(edited, parts, 1, f"{NEAREST}/best")
    within = edited.add("Reshape", [best, name["by_row"]], f"{NEAREST}/within")
    places = edited.add("Add", [within, name["first"]], f"{NEAREST}/places")
    candidates = edited.add("Gather", [name["vectors"], places], f"{NEAREST}/candidates", axis=0)
    one_each = edited.add("Reshape", [x, name["one_each"]], f"{NEAREST}/one_each_row")
    apart = edited.add("Sub", [candidates, one_each], f"{NEAREST}/apart")
    squares = edited.add("Mul", [apart, apart], f"{NEAREST}/squares")
    squared = edited.add("MatMul", [squares, name["ones"]], f"{NEAREST}/squared")
    smallest = reduce_axis(edited, "ReduceMin", squared, f"{NEAREST}/smallest", axis=1, keep=False)
    distance = edited.add("Sqrt", [smallest], f"{NEAREST}/distance")
    return edited.add("Reshape", [distance, name["grid"]], NEAREST)


def _append_along(edited: Graph, rows: str, axes: NDArray[np.float32] | None) -> str:
    """[p, c] → [p, d + 1]: along the axes, or as they are, and a column of ones.

    That column brings the norms into the product: adding them afterwards would read and write all distances
    once more, which takes ONNX Runtime longer than the product where a bank is large.
    """
    name = f"{NEAREST}/along"
    if axes is None:
        pads = edited.constant(f"{name}/pads", np.array([0, 0, 0, 1], np.int64))
        return edited.add("Pad", [rows, pads, edited.constant(f"{name}/one", np.float32(1))], name)
    wider = np.pad(axes, ((0, 0), (0, 1)))
    last = np.zeros(wider.shape[1], np.float32)
    last[-1] = 1
    factor, offset = edited.constant(f"{name}/axes", wider), edited.constant(f"{name}/last", last)
    return edited.add("Gemm", [rows, factor, offset], name)


def append_gaussians(
    edited: Graph, source: str, gaussians: PositionGaussians, grid: Grid, name: str = UNLIKELY
) -> str:
    """Add `name` [1, h, w]: each position of `source` [1, h, w, c] under its own Gaussian."""
    p, k = gaussians.mean.shape
    rank = gaussians.local.shape[1]
    values: dict[str, NDArray[Any]] = {
        "rows": np.array([p, gaussians.axes.shape[0]], np.int64),
        "mean": gaussians.mean,
    }
    names = {key: edited.constant(f"{name}/{key}", value) for key, value in values.items()}
    rows = edited.add("Reshape", [source, names["rows"]], f"{name}/patches")
    if gaussians.components is None:
        axes = gaussians.axes @ gaussians.whitener
    else:
        rows = _append_rests(edited, rows, gaussians.axes, gaussians.components, f"{name}/components")
        axes = gaussians.whitener
    along = edited.constant(f"{name}/axes", axes)
    kept = edited.add("MatMul", [rows, along], f"{name}/kept")
    white = edited.add("Sub", [kept, names["mean"]], f"{name}/white")
    squared = _squared_norms(edited, white, k, f"{name}/norm")
    if rank:
        values = {
            "columns": np.array([p, k, 1], np.int64),
            "local": gaussians.local,
            "flat": np.array([p, rank], np.int64),
        }
        names |= {key: edited.constant(f"{name}/{key}", value) for key, value in values.items()}
        columns = edited.add("Reshape", [white, names["columns"]], f"{name}/white_columns")
        explained = edited.add("MatMul", [names["local"], columns], f"{name}/explained_columns")
        flat = edited.add("Reshape", [explained, names["flat"]], f"{name}/explained")
        less = _squared_norms(edited, flat, rank, f"{name}/explained_norm")
        rest = edited.add("Sub", [squared, less], f"{name}/rest")
        squared = edited.add("Relu", [rest], f"{name}/clipped")  # rounding can go below 0
    return _distances(edited, squared, grid, name)


def _append_rests(
    edited: Graph, rows: str, axes: NDArray[np.float32], components: ImageComponents, stem: str
) -> str:
    """[p, c] → what the components leave of them along the axes, [p, k]."""
    values: dict[str, NDArray[Any]] = {
        "axes": axes,
        "mean": components.mean,
        "one_row": np.array([1, components.mean.size], np.int64),
        "basis": components.basis,
        "most": components.most,
        "least": -components.most,
        "grid": np.array(components.mean.shape, np.int64),
    }
    names = {key: edited.constant(f"{stem}/{key}", value) for key, value in values.items()}
    along = edited.add("MatMul", [rows, names["axes"]], f"{stem}/along")
    centred = edited.add("Sub", [along, names["mean"]], f"{stem}/centred")
    row = edited.add("Reshape", [centred, names["one_row"]], f"{stem}/row")
    shares = edited.add("Gemm", [row, names["basis"]], f"{stem}/shares", transB=1)
    below = edited.add("Min", [shares, names["most"]], f"{stem}/below")
    bounded = edited.add("Max", [below, names["least"]], f"{stem}/bounded")
    explained = edited.add("MatMul", [bounded, names["basis"]], f"{stem}/explained")
    rests = edited.add("Sub", [row, explained], f"{stem}/rests_row")
    return edited.add("Reshape", [rests, names["grid"]], f"{stem}/rests")


def append_every_second(edited: Graph, source: str, name: str) -> str:
    """[n, h, w, c] → [n, ⌈h/2⌉, ⌈w/2⌉, c]."""
    values = {"starts": [0, 0], "ends": [2**31 - 1] * 2, "axes": [1, 2], "steps": [2, 2]}
    inputs = [edited.constant(f"{name}/{key}", np.array(value, np.int64)) for key, value in values.items()]
    return edited.add("Slice", [source, *inputs], name)


def append_shared(edited: Graph, source: str, gaussians: SharedGaussians, grid: Grid) -> str:
    """Add `fine_distance` [1, h, w]: each position of `source` [1, h, w, c] from its mean, one covariance."""
    values: dict[str, NDArray[Any]] = {
        "rows": np.array(gaussians.mean.shape, np.int64),
        "mean": gaussians.mean,
        "whitener": gaussians.whitener,
    }
    name = {key: edited.constant(f"{FINE_DISTANCE}/{key}", value) for key, value in values.items()}
    rows = edited.add("Reshape", [source, name["rows"]], f"{FINE_DISTANCE}/patches")
    centred = edited.add("Sub", [rows, name["mean"]], f"{FINE_DISTANCE}/centred")
    white = edited.add("MatMul", [centred, name["whitener"]], f"{FINE_DISTANCE}/white")
    squared = _squared_norms(edited, white, len(gaussians.whitener), f"{FINE_DISTANCE}/norm")
    return _distances(edited, squared, grid, FINE_DISTANCE)


def _squared_norms(edited: Graph, rows: str, length: int, name: str) -> str:
    """[p, length] → [p, 1]. A product with ones is faster than a sum along an axis."""
    ones = edited.constant(f"{name}/ones", np.ones((length, 1), np.float32))
    squares = edited.add("Mul", [rows, rows], f"{name}/squares")
    return edited.add("MatMul", [squares, ones], name)


def _distances(edited: Graph, squared: str, grid: Grid, name: str) -> str:
    """Squares [h · w, 1] → distances [1, h, w]."""
    distance = edited.add("Sqrt", [squared], f"{name}/distance")
    shape = edited.constant(f"{name}/grid", np.array([1, *grid], np.int64))
    return edited.add("Reshape", [distance, shape], name)


def append_map(
    edited: Graph,
    terms: Sequence[tuple[str, float]],
    maps: MapMaker,
    *,
    offset: float = 0.0,
    finer: tuple[str, float, MapMaker] | None = None,
) -> str:
    """Add `anomaly_map` [n, height, width] of `offset` + the weighted sum of grids [n, h, w].

    `finer` is one more grid, its weight and what enlarges it.
    """
    total = ""
    for number, (grid, weight) in enumerate(terms):
        factor = edited.constant(f"{MAP}/weight{number}", np.float32(weight))
        scaled = grid if weight == 1 else edited.add("Mul", [grid, factor], f"{MAP}/scaled{number}")
        total = edited.add("Add", [total, scaled], f"{MAP}/sum{number}") if total else scaled
    if offset:
        total = edited.add("Add", [total, edited.constant(f"{MAP}/offset", np.float32(offset))], f"{MAP}/all")
    if finer is None:
        return _enlarge(edited, total, maps, MAP)
    grid, weight, its = finer
    factor = edited.constant(f"{MAP}/weight_finer", np.float32(weight))
    scaled = edited.add("Mul", [grid, factor], f"{MAP}/scaled_finer")
    coarse, fine = (
        _enlarge(edited, value, maker, f"{MAP}/{name}")
        for name, value, maker in (("coarse", total, maps), ("fine", scaled, its))
    )
    return edited.add("Add", [coarse, fine], MAP)


def _enlarge(edited: Graph, value: str, maps: MapMaker, name: str) -> str:
    tall = edited.add("MatMul", [edited.constant(f"{name}/rows", maps.rows), value], f"{name}/tall")
    return edited.add("MatMul", [tall, edited.constant(f"{name}/columns", maps.columns)], name)

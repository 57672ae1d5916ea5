"""Appends to a graph the few nodes that turn feature maps into what a detector compares.

`patch_embedding` is PatchCore's locally aware patch feature (Roth et al. 2022, arXiv:2106.08265,
eq. 1-3): each map is averaged over a small window, coarser maps are resized to the finest grid,
and all are concatenated. `pooled_embedding` is one vector per image, `joint_embedding` gives patches,
patches without averages, finer ones and a vector from one pass. All are part of the graph,
so evaluation, deployment and every runtime compute the same thing.

The appended nodes exist in every opset from 11 on, so any graph keeps its own opset. The grid of
every tap is found by running the graph once on a black image, which also shows at fit time that
the runtime can execute it; the resize factors are then constants, which both runtimes fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime, trial_outputs
from anomalens.errors import BackboneError, SettingError, unknown_name

EMBEDDING: Final = "embedding"
DETAIL: Final = "detail"
FINE: Final = "fine"
FEATURES: Final = "features"
STATISTICS: Final = ("mean", "std", "gem")
GEM_POWER: Final = 3.0


def patch_embedding(
    graph: bytes,
    taps: Sequence[str],
    *,
    size: tuple[int, int],
    neighbourhood: int = 3,
    runtime: Runtime | None = None,
) -> bytes:
    """One feature vector per position of the finest tap's grid.

    Parameters
    ----------
    graph : bytes
        An ONNX model that has the taps among its outputs, as `Backbone.graph` gives it.
    taps : sequence of str
        Which outputs to use; the channels are concatenated in this order.
    size : (height, width)
        The input size in pixels that the result is for.
    neighbourhood : int
        Side of the averaging window in positions, odd; 1 averages nothing. Positions outside the
        map count as zero, as in the paper: averages over fewer positions scatter more, and a
        nearest-neighbour search then takes the border of every image for its strangest part.
    runtime : Runtime, optional
        What tells the taps' grids; ONNX Runtime if not given. One that is loaded anyway saves memory.

    Returns
    -------
    bytes
        An ONNX model from `image`, float32 [n, 3, height, width], to `embedding`, float32
        [n, H, W, C], where H, W is the finest tap's grid and C the sum of the taps' channels.

    Raises
    ------
    SettingError
        If a tap is not an output, or the window is not odd and positive.
    BackboneError
        If the graph cannot be run at this size.
    """
    if type(neighbourhood) is not int or neighbourhood < 1 or neighbourhood % 2 == 0:
        raise SettingError(
            f"The neighbourhood must be an odd number of positions, not {neighbourhood!r}: "
            "3 is usual, 1 averages nothing."
        )
    taps = _checked_taps(taps)
    edited = _opened(graph, taps, size)
    grid = append_patches(
        edited, tap_grids(edited, taps, size, runtime), neighbourhood=neighbourhood, name=EMBEDDING
    )
    edited.pin_size(size)
    return edited.finish([(EMBEDDING, ["n", *grid, None])])


def joint_embedding(
    graph: bytes,
    taps: Sequence[str],
    pooled_taps: Sequence[str],
    fine_taps: Sequence[str] = (),
    *,
    size: tuple[int, int],
    runtime: Runtime | None = None,
) -> bytes:
    """Views of an image from one pass of the network.

    Parameters
    ----------
    graph, size, runtime
        As for `patch_embedding`.
    taps : sequence of str
        Layers that make the patches.
    pooled_taps : sequence of str
        Layers that make the vector of the whole image; the coarsest last.
    fine_taps : sequence of str
        Layers that make patches on a finer grid; none for no such view.

    Returns
    -------
    bytes
        An ONNX model from `image` to `embedding`, float32 [n, H, W, C], averages over 3 × 3 patches,
        `detail`, the same without, `features`, float32 [n, D]: mean and standard deviation of each pooled
        tap, of the last one the mean alone, and where there are fine taps `fine`, float32 [n, H', W', C'].

    Raises
    ------
    SettingError, BackboneError
        As for `patch_embedding`.
    """
    taps, pooled_taps = _checked_taps(taps), _checked_taps(pooled_taps)
    fine_taps = _checked_taps(fine_taps) if fine_taps else []
    edited = _opened(graph, [*taps, *pooled_taps, *fine_taps], size)
    every = tap_grids(edited, list(dict.fromkeys([*taps, *fine_taps])), size, runtime)
    grids = {tap: every[tap] for tap in taps}
    grid = append_patches(edited, grids, neighbourhood=3, name=EMBEDDING)
    append_patches(edited, grids, neighbourhood=1, name=DETAIL)
    fine = []
    if fine_taps:
        finer = append_patches(edited, {tap: every[tap] for tap in fine_taps}, neighbourhood=1, name=FINE)
        fine = [(FINE, ["n", *finer, None])]
    pieces = [
        piece
        for tap in pooled_taps
        for piece in _pooled(edited, tap, ("mean",) if tap == pooled_taps[-1] else ("mean", "std"))
    ]
    edited.add("Flatten", [edited.add("Concat", pieces, f"{FEATURES}/all", axis=1)], FEATURES, axis=1)
    edited.pin_size(size)
    patches = ["n", *grid, None]
    return edited.finish([(EMBEDDING, patches), (DETAIL, patches), (FEATURES, ["n", None]), *fine])


def append_patches(
    edited: Graph, grids: Mapping[str, tuple[int, int]], *, neighbourhood: int, name: str
) -> tuple[int, int]:
    """Add the patch features of some taps as the tensor `name`, [n, H, W, C]; returns H, W.

    Parameters
    ----------
    edited : Graph
    grids : mapping of tap to (height, width)
    """
    height, width = max(grids.values(), key=lambda grid: grid[0] * grid[1])
    pieces = []
    for number, (tap, grid) in enumerate(grids.items()):
        value = tap
        if neighbourhood > 1:
            value = edited.add(
                "AveragePool",
                [value],
                f"{name}/average{number}",
                kernel_shape=[neighbourhood] * 2,
                strides=[1, 1],
                pads=[neighbourhood // 2] * 4,
                count_include_pad=1,
            )
        if grid != (height, width):
            value = _resize(edited, value, f"{name}/resize{number}", grid, (height, width))
        pieces.append(value)
    joined = edited.add("Concat", pieces, f"{name}/maps", axis=1)
    edited.add("Transpose", [joined], name, perm=[0, 2, 3, 1])
    return height, width


def pooled_embedding(
    graph: bytes,
    taps: Sequence[str],
    statistics: Sequence[str] = ("mean", "std"),
    *,
    size: tuple[int, int] | None = None,
) -> bytes:
    """One feature vector per image.

    Parameters
    ----------
    graph, taps
        As for `patch_embedding`.
    statistics : sequence of str
        For each tap, in this order: `mean`, `std` (of the population) and `gem`, the generalized
        mean of positive parts with power 3 (Radenović et al. 2018, arXiv:1711.02512, eq. 3).
    size : (height, width), optional
        The input size in pixels that the result is for; None leaves it open.

    Returns
    -------
    bytes
        An ONNX model from `image` to `features`, float32 [n, C].

    Raises
    ------
    SettingError
        If a tap or statistic is unknown, given twice, or none is given.
    """
    if isinstance(statistics, str) or not statistics or len(set(statistics)) < len(statistics):
        raise SettingError(
            f"The statistics must be a list of some of {', '.join(STATISTICS)}, each once, "
            f"not {statistics!r}."
        )
    for statistic in statistics:
        if statistic not in STATISTICS:
            raise unknown_name("statistic", str(statistic), STATISTICS)
    taps = _checked_taps(taps)
    edited = _opened(graph, taps, size)
    pieces = [piece for tap in taps for piece in _pooled(edited, tap, statistics)]
    joined = edited.add("Concat", pieces, f"{FEATURES}/all", axis=1)
    edited.add("Flatten", [joined], FEATURES, axis=1)
    if size is not None:
        edited.pin_size(size)
    return edited.finish([(FEATURES, ["n", None])])


def _pooled(edited: Graph, tap: str, statistics: Sequence[str]) -> list[str]:
    """Add statistics over all positions of a tap, each [n, c, 1, 1]."""
    stem = f"{FEATURES}/{tap}"
    mean = edited.add("GlobalAveragePool", [tap], f"{stem}/mean")
    pieces = []
    for statistic in statistics:
        if statistic == "std":
            pieces.append(_standard_deviation(edited, tap, mean, stem))
        else:
            pieces.append(_generalized_mean(edited, tap, stem) if statistic == "gem" else mean)
    return pieces


def _opened(graph: bytes, taps: list[str], size: tuple[int, int] | None) -> Graph:
    edited = Graph.parse(graph)
    for tap in taps:
        if tap not in edited.outputs:
            raise unknown_name("output of the graph", tap, edited.outputs)
    if size is not None and not all(type(side) is int and side > 0 for side in size):
        raise SettingError(f"The size must be (height, width) in pixels, not {size!r}.")
    return edited


def _checked_taps(taps: Sequence[str]) -> list[str]:
    if isinstance(taps, str) or not taps or len(set(taps)) < len(taps):
        raise SettingError(f"The taps must be a list of names, each once, not {taps!r}.")
    return list(taps)


def tap_grids(
    edited: Graph, taps: Sequence[str], size: tuple[int, int], runtime: Runtime | None = None
) -> dict[str, tuple[int, int]]:
    """Height and width of each tap's map, from one run on a black image.

    Raises
    ------
    BackboneError
        An output is no map [n, c, h, w], or the graph cannot be run at this size.
    """
    maps = edited.finish([(tap, None) for tap in taps])
    values = trial_outputs(maps, runtime=runtime or Runtime(), input_size=size)
    grids = {}
    for tap, value in zip(taps, values, strict=True):
        if value.ndim != 4:
            raise BackboneError(
                f"The output {tap!r} has the shape {list(value.shape)}; a map [n, c, h, w] is "
                "needed: choose another tap, or describe it as tokens in its card."
            )
        grids[tap] = (value.shape[2], value.shape[3])
    return grids


def _resize(edited: Graph, value: str, name: str, grid: tuple[int, int], target: tuple[int, int]) -> str:
    # Constant factors and not sizes: a constant list of sizes would have to fix n as well.
    factors = [1.0, 1.0, *(_factor(a, b) for a, b in zip(grid, target, strict=True))]
    edited.constant(f"{name}/roi", np.zeros(0, np.float32))
    edited.constant(f"{name}/factors", np.array(factors, np.float32))
    return edited.add(
        "Resize",
        [value, f"{name}/roi", f"{name}/factors"],
        name,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def _factor(size: int, target: int) -> Any:
    """The float32 factor with floor(size × factor) = target, also where rounding is unlucky."""
    factor = np.float32(target) / np.float32(size)
    while np.floor(np.float32(size) * factor) < target or int(size * float(factor)) < target:
        factor = np.nextafter(factor, np.float32(np.inf))
    return factor


def _standard_deviation(edited: Graph, tap: str, mean: str, stem: str) -> str:
    # E[(x − mean)²] and not E[x²] − mean²: the difference of large numbers loses digits.
    centred = edited.add("Sub", [tap, mean], f"{stem}/centred")
    squared = edited.add("Mul", [centred, centred], f"{stem}/squared")
    variance = edited.add("GlobalAveragePool", [squared], f"{stem}/variance")
    return edited.add("Sqrt", [variance], f"{stem}/std")


def _generalized_mean(edited: Graph, tap: str, stem: str) -> str:
    edited.constant(f"{stem}/least", np.float32(1e-6))
    edited.constant(f"{stem}/power", np.float32(GEM_POWER))
    edited.constant(f"{stem}/root", np.float32(1 / GEM_POWER))
    positive = edited.add("Max", [tap, f"{stem}/least"], f"{stem}/positive")
    powered = edited.add("Pow", [positive, f"{stem}/power"], f"{stem}/powered")
    average = edited.add("GlobalAveragePool", [powered], f"{stem}/average")
    return edited.add("Pow", [average, f"{stem}/root"], f"{stem}/gem")

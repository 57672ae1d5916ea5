"""A network that describes windows of an image, and the image as a whole, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from anomalens.backbones.card import BackboneCard
from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.detectors.patches.network import PatchNetwork
from anomalens.detectors.patches.windows import Windows
from anomalens.errors import BackboneError, SettingError

POOLED: Final = "pooled"
WINDOWS: Final = "windows"


def window_network(
    name: str,
    taps: Sequence[str],
    pooled_taps: Sequence[str],
    *,
    strides: Sequence[int],
    windows: Windows,
    runtime: Runtime,
) -> PatchNetwork:
    """Build it from a backbone's name or file.

    Parameters
    ----------
    name : str
    taps, pooled_taps : sequence of str
        Layers for the windows and for the whole image; by default those at `strides`, and the one at 1/32,
        or all that the backbone has.
    strides : sequence of int
    windows : Windows
    runtime : Runtime

    Returns
    -------
    PatchNetwork
        Its outputs for an image: float32 [rows, columns, c], the means of the taps over each window, and
        float32 [c'], those of the pooled taps over the whole image.
    """
    from anomalens.backbones.registry import load_backbone

    backbone = load_backbone(name)
    card = backbone.card
    card.check_size(windows.size)
    taps = tuple(taps) or _taps_at(card, strides)
    pooled_taps = tuple(pooled_taps) or _taps_at(card, (32,))
    for given in (taps, pooled_taps):
        if len(set(given)) < len(given):
            raise SettingError(f"The taps {', '.join(given)} name a layer twice; give each once.")
    used = tuple(dict.fromkeys((*taps, *pooled_taps)))
    graph = backbone.graph(used)
    grids = _tap_grids(graph, used, size=windows.size)
    edited = Graph.parse(graph)
    _append_windows(edited, {tap: grids[tap] for tap in taps}, windows)
    means = [edited.add("GlobalAveragePool", [tap], f"{POOLED}/{i}") for i, tap in enumerate(pooled_taps)]
    edited.add("Flatten", [edited.add("Concat", means, f"{POOLED}/all", axis=1)], POOLED, axis=1)
    edited.pin_size(windows.size)
    return PatchNetwork(
        edited.finish([(EMBEDDING, ["n", *windows.grid, None]), (POOLED, ["n", None])]),
        mean=card.mean,
        std=card.std,
        size=windows.size,
        runtime=runtime,
        backbone={**card.to_json(), "used": list(used)},
    )


def _taps_at(card: BackboneCard, strides: Sequence[int]) -> tuple[str, ...]:
    names = tuple(tap.name for tap in card.taps)
    usual = tuple(f"stride{stride}" for stride in strides)
    return usual if set(usual) <= set(names) else names


def _tap_grids(graph: bytes, taps: Sequence[str], *, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Height and width of each tap's map, from one run on a black image.

    Raises
    ------
    BackboneError
        If an output is no map [n, c, h, w].
    """
    maps = Graph.parse(graph).finish([(tap, None) for tap in taps])
    values = open_session(maps, runtime=Runtime(), input_size=size).run(np.zeros((1, 3, *size), np.float32))
    for tap, value in zip(taps, values, strict=True):
        if value.ndim != 4:
            raise BackboneError(
                f"The output {tap!r} has the shape {list(value.shape)}; a map [n, c, h, w] is needed: "
                "choose another tap."
            )
    return {tap: (v.shape[2], v.shape[3]) for tap, v in zip(taps, values, strict=True)}


def _append_windows(edited: Graph, grids: Mapping[str, tuple[int, int]], windows: Windows) -> str:
    """Add the means of the taps' maps over the windows.

    Parameters
    ----------
    edited : Graph
        Changed in place.
    grids : mapping
        Of each tap, as `_tap_grids` gives them; the channels are joined in this order.
    windows : Windows

    Returns
    -------
    str
        The tensor's name, `embedding`: float32 [n, rows, columns, c].
    """
    pieces = []
    for number, (tap, cells) in enumerate(grids.items()):
        rows, columns = windows.pooling(cells)
        stem = f"{WINDOWS}/{number}"
        tall = edited.add("MatMul", [edited.constant(f"{stem}/rows", rows), tap], f"{stem}/tall")
        pieces.append(
            edited.add("MatMul", [tall, edited.constant(f"{stem}/columns", columns)], f"{stem}/mean")
        )
    joined = edited.add("Concat", pieces, f"{WINDOWS}/maps", axis=1)
    return edited.add("Transpose", [joined], EMBEDDING, perm=[0, 2, 3, 1])

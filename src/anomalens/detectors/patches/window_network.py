"""A network that describes windows of an image, and the image as a whole, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from anomalens.backbones.embedding import EMBEDDING, tap_grids
from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.network import FeatureNetwork, taps_at
from anomalens.detectors.patches.windows import Windows
from anomalens.errors import SettingError

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
) -> FeatureNetwork:
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
    FeatureNetwork
        Its outputs for an image: float32 [rows, columns, c], the means of the taps over each window, and
        float32 [c'], those of the pooled taps over the whole image.
    """
    from anomalens.backbones.registry import load_backbone

    backbone = load_backbone(name)
    card = backbone.card
    card.check_size(windows.size)
    taps = tuple(taps) or taps_at(card, strides)
    pooled_taps = tuple(pooled_taps) or taps_at(card, (32,))
    for given in (taps, pooled_taps):
        if len(set(given)) < len(given):
            raise SettingError(f"The taps {', '.join(given)} name a layer twice; give each once.")
    used = tuple(dict.fromkeys((*taps, *pooled_taps)))
    graph = backbone.graph(used)
    edited = Graph.parse(graph)
    grids = tap_grids(edited, taps, windows.size, runtime)
    _append_windows(edited, grids, windows)
    means = [edited.add("GlobalAveragePool", [tap], f"{POOLED}/{i}") for i, tap in enumerate(pooled_taps)]
    edited.add("Flatten", [edited.add("Concat", means, f"{POOLED}/all", axis=1)], POOLED, axis=1)
    edited.pin_size(windows.size)
    return FeatureNetwork.from_card(
        edited.finish([(EMBEDDING, ["n", *windows.grid, None]), (POOLED, ["n", None])]),
        card,
        used=list(used),
        size=windows.size,
        runtime=runtime,
    )


def _append_windows(edited: Graph, grids: Mapping[str, tuple[int, int]], windows: Windows) -> str:
    """Add the means of the taps' maps over the windows.

    Parameters
    ----------
    edited : Graph
        Changed in place.
    grids : mapping
        Each tap's grid, as `tap_grids` gives them; the channels are joined in this order.
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

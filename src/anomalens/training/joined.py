"""A module trained on a frozen network's features → one graph with that network, checked on real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.joining import joined
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import BackboneError
from anomalens.training.export import check_parity, inputs_to_onnx
from anomalens.training.features import HeldFeatures

_OPSETS: Final = (11, 20)  # that torch can write


def joined_graph(
    module: nn.Module,
    held: HeldFeatures,
    frozen: bytes,
    *,
    rows: NDArray[np.int64],
    outputs: Mapping[str, Sequence[int]],
    runtime: Runtime,
) -> bytes:
    """One graph from the scaled image to the module's outputs.

    Parameters
    ----------
    module : Module
        The frozen network's outputs, each [1, …] → a tuple of tensors.
    frozen : bytes
        The frozen network's graph.
    rows : int64
        Images to compare graph and module on.
    outputs : mapping of name to shape
        What the module gives.

    Raises
    ------
    BackboneError
        The frozen network's operator set is one that cannot be written, or graph and module differ.
    """
    opset = Graph.parse(frozen).opset
    if not _OPSETS[0] <= opset <= _OPSETS[1]:
        raise BackboneError(
            f"The backbone's graph is of opset {opset}; a network can be trained on its features from opset "
            f"{_OPSETS[0]} to {_OPSETS[1]}: export the backbone again."
        )
    images = held.scaled(rows)
    session = open_session(frozen, runtime=runtime, input_size=(images.shape[2], images.shape[3]))

    def inputs(image: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(values) for values in session.run(image.numpy())]

    def whole(image: torch.Tensor) -> Any:
        return module(*inputs(image))

    examples = dict(zip(Graph.parse(frozen).outputs, inputs(images[:1]), strict=True))
    learnt = inputs_to_onnx(module, examples, outputs=list(outputs), opset=opset)
    graph = joined(frozen, learnt, list(outputs.items()))
    check_parity(whole, graph, images, held.scaled_noise(), runtime)
    return graph

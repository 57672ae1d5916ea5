"""A trained module → ONNX, checked against the module on real images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
import torch
from torch import nn

from anomalens.backbones.card import INPUT_NAME
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import BackboneError

OPSET: Final = 17
TOLERANCE: Final = 1e-4  # of the largest value of an output


def to_onnx(module: nn.Module, *, size: tuple[int, int], outputs: Sequence[str]) -> bytes:
    """The graph of a module in evaluation mode.

    Parameters
    ----------
    module : Module
        float32 [1, 3, h, w], 0–1 → a tuple of tensors [1, …].
    size : (height, width)
    outputs : sequence of str
        Names of what it returns.

    Returns
    -------
    bytes
        An ONNX model, batch 1, weights inside.
    """
    return inputs_to_onnx(module, {INPUT_NAME: torch.zeros(1, 3, *size)}, outputs=outputs)


def inputs_to_onnx(
    module: nn.Module, inputs: Mapping[str, torch.Tensor], *, outputs: Sequence[str], opset: int = OPSET
) -> bytes:
    """The graph of a module with inputs of these names and shapes, in this order."""
    module.eval()
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about constants and its own age
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=opset,
            # the newer exporter needs a package more and writes the same graph
            dynamo=False,
        )
    return plain(onnx.load_from_string(file.getvalue()))


def plain(model: onnx.ModelProto) -> bytes:
    """The model without words about who made it and where."""
    for node in model.graph.node:
        node.ClearField("doc_string")
    model.producer_name = "anomalens"
    model.ClearField("producer_version")
    data: bytes = model.SerializeToString()
    return data


def check_parity(
    module: Callable[[torch.Tensor], Sequence[torch.Tensor]],
    graph: bytes,
    images: torch.Tensor,
    runtime: Runtime,
) -> float:
    """The largest difference between graph and module, relative to each output's largest value on all images.

    Parameters
    ----------
    images : float32 [n, 3, h, w], as both take them

    Raises
    ------
    BackboneError
        They differ by more than `TOLERANCE` in float32: what was trained is not what would be deployed.
    """
    session = open_session(graph, runtime=runtime, input_size=(images.shape[2], images.shape[3]))
    apart, largest = [], []
    for image in images:
        with torch.no_grad():
            wanted = [np.asarray(value, np.float64) for value in module(image[None])]
        given = session.run(image[None].numpy())
        apart.append([np.abs(a - b).max() for a, b in zip(wanted, given, strict=True)])
        largest.append([np.abs(a).max() for a in wanted])
    # numpy's maxima keep what is no number, Python's own passes over it
    worst = float(np.max(np.max(apart, axis=0) / np.maximum(np.max(largest, axis=0), 1e-12)))
    if not worst <= TOLERANCE and runtime.precision == "float32":
        raise BackboneError(
            f"The exported graph differs from the trained network by {worst:.1e} of its largest value "
            f"({TOLERANCE:g} is allowed); try another runtime."
        )
    return worst

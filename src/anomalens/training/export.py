"""A trained module → ONNX, checked against the module on real images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from anomalens.backbones.card import INPUT_NAME
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import BackboneError

OPSET: Final = 17
# An output of normal images may differ by the largest of these: training makes some of them as small as it
# can, and then what is left is the rounding of the numbers that were subtracted.
_OF_LARGEST: Final = 1e-4  # of its largest value on them
_OF_SPREAD: Final = 1e-2  # of its deviation over them: no verdict depends on that
_OF_NOISE: Final = 1e-5  # of its largest value on noise, which no training makes small
_LEAST: Final = 1e-12


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
    noise: torch.Tensor,
    runtime: Runtime,
) -> float:
    """The largest difference between graph and module on normal images, over what is allowed.

    Parameters
    ----------
    images : float32 [n, 3, h, w], as both take them
        Normal ones; some should be new to the module, as it may know the others by heart.
    noise : float32 [m, 3, h, w]
        See `noise_pixels`; only gives a scale.

    Raises
    ------
    BackboneError
        It is more than 1 in float32: what was trained is not what would be deployed.
    """
    session = open_session(graph, runtime=runtime, input_size=(images.shape[2], images.shape[3]))
    wanted, odd = _answers(module, images), _answers(module, noise)
    given = [session.run(image[None].numpy()) for image in images]
    worst = 0.0
    for k, values in enumerate(wanted):
        # components [n, 1, k] are of several units, maps [n, 1, h, w] of one
        over = (0, 1) if values.ndim == 3 else None
        apart = np.abs(values - np.stack([answer[k] for answer in given])).max(over)
        scales = (
            _OF_LARGEST * np.abs(values).max(over),
            _OF_SPREAD * values.std(over),
            _OF_NOISE * np.abs(odd[k]).max(over),
        )
        # numpy's maxima keep what is no number, Python's own pass over it
        worst = float(np.maximum(worst, np.max(apart / np.maximum(np.max(scales, axis=0), _LEAST))))
    if not worst <= 1 and runtime.precision == "float32":
        raise BackboneError(
            f"The exported graph differs from the trained network on normal images by {worst:.2g} times what "
            "rounding explains, and so would not score as it was trained to; name another --runtime."
        )
    return worst


def _answers(
    module: Callable[[torch.Tensor], Sequence[torch.Tensor]], images: torch.Tensor
) -> list[NDArray[np.float64]]:
    """Each output of all images, one image at a time."""
    with torch.no_grad():
        answers = [[np.asarray(value, np.float64) for value in _each(module(i[None]))] for i in images]
    return [np.stack(values) for values in zip(*answers, strict=True)]


def _each(answer: torch.Tensor | Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """A module with one output gives it alone."""
    return [answer] if isinstance(answer, torch.Tensor) else answer

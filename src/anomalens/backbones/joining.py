"""Two graphs as one: a frozen network, and what was learnt of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anomalens.backbones.graph_surgery import Graph

LEARNT: Final = "learnt/"  # before every name of the second graph


def joined(first: bytes, second: bytes, outputs: Sequence[tuple[str, Sequence[int]]]) -> bytes:
    """One graph from the input of the first to outputs of the second.

    Parameters
    ----------
    first : bytes
        An ONNX model.
    second : bytes
        An ONNX model of the same opset whose inputs have names of tensors of the first, its input among
        them.
    outputs : sequence of (name, shape)
        What the second graph gives, float32.

    Returns
    -------
    bytes
        Its outputs are called `learnt/NAME`.
    """
    from onnx.compose import add_prefix

    edited, other = Graph.parse(first), Graph.parse(second)
    if edited.opset != other.opset:
        raise ValueError(f"graphs of the opsets {edited.opset} and {other.opset} cannot be joined")
    for value in other.inputs():
        edited.add("Identity", [value.name], LEARNT + value.name)
    renamed = add_prefix(other.model, LEARNT).graph
    edited.model.graph.node.extend(renamed.node)
    edited.model.graph.initializer.extend(renamed.initializer)
    return edited.finish([(LEARNT + name, shape) for name, shape in outputs])

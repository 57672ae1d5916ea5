"""Edits an ONNX graph: adds nodes, promotes inner tensors to outputs, cuts what is not needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from anomalens.backbones.card import INPUT_NAME
from anomalens.backbones.foreign_data import check_self_contained
from anomalens.errors import BackboneError

FLOAT: Final = 1  # onnx.TensorProto.FLOAT

Value = str | np.ndarray | np.generic | Sequence[int]


class Graph:
    """An ONNX model that is being edited.

    Parameters
    ----------
    model : onnx.ModelProto
        Changed in place by `add`, `constant` and the rest; `finish` leaves it as it is.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    def empty(cls, name: str, *, opset: int, ir_version: int) -> Graph:
        """A model that has the input `image`, float32 [n, 3, h, w], and no node yet."""
        from onnx import helper

        image = helper.make_tensor_value_info(INPUT_NAME, FLOAT, ["n", 3, "h", "w"])
        graph = helper.make_graph([], name, [image], [])
        opsets = [helper.make_opsetid("", opset)]
        return cls(helper.make_model(graph, opset_imports=opsets, ir_version=ir_version))

    @classmethod
    def parse(cls, data: bytes) -> Graph:
        """Read a serialized model.

        Raises
        ------
        BackboneError
            If it is not an ONNX model, or refers to data in other files.
        """
        from onnx import ModelProto

        check_self_contained(data)
        model = ModelProto()
        try:
            model.ParseFromString(data)
        except Exception as problem:  # protobuf's implementations raise different classes
            raise BackboneError(f"The graph is not an ONNX model ({problem}): export it again.") from None
        return cls(model)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [value.name for value in self.model.graph.output]

    @property
    def opset(self) -> int:
        """Version of the default operator set; 0 if the model names none."""
        versions = [o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")]
        return int(versions[0]) if versions else 0

    def inputs(self) -> list[Any]:
        """The ValueInfoProtos that a caller must feed."""
        given = {tensor.name for tensor in self.model.graph.initializer}
        return [value for value in self.model.graph.input if value.name not in given]

    def tensors(self) -> set[str]:
        """Names of everything that nodes compute."""
        return {name for node in self.model.graph.node for name in node.output if name}

    def add(self, kind: str, inputs: Sequence[Value], name: str, **attributes: Any) -> str:
        """Append a node with one output, which has the node's name; returns that name.

        An input is the name of a tensor, or a constant: an array, or a list of whole numbers.
        """
        self._append(kind, inputs, (name,), **attributes)
        return name

    def smallest(self, rows: str, count: int, name: str) -> tuple[str, str]:
        """Add the `count` smallest of each row [p, m], smallest first, and their places: both [p, count]."""
        outputs = (f"{name}/values", f"{name}/places")
        self._append("TopK", [rows, [count]], outputs, axis=1, largest=0, sorted=1)
        return outputs

    def reduce(self, kind: str, value: str, name: str, *, axis: int, keep: bool = False) -> str:
        """A ReduceMin, ReduceMean or the like over one axis, in any opset."""
        if kind == "ReduceSum" or self.opset >= 18:  # where the axes became an input
            return self.add(kind, [value, [axis]], name, keepdims=int(keep))
        return self.add(kind, [value], name, axes=[axis], keepdims=int(keep))

    def squared_norms(self, rows: str, length: int, name: str) -> str:
        """[p, length] → [p, 1]; a product with ones is faster than a sum along an axis."""
        squares = self.add("Mul", [rows, rows], f"{name}/squares")
        return self.add("MatMul", [squares, np.ones((length, 1), np.float32)], name)

    def _append(
        self, kind: str, inputs: Sequence[Value], outputs: tuple[str, ...], **attributes: Any
    ) -> None:
        from onnx import helper

        known = self.tensors()
        for name in outputs:
            if name in known:
                raise BackboneError(
                    f"The graph already has a tensor named {name!r}, which is reserved: rename it."
                )
        names = [
            value if isinstance(value, str) else self.constant(f"{outputs[0]}/constant{place}", value)
            for place, value in enumerate(inputs)
        ]
        self.model.graph.node.append(helper.make_node(kind, names, outputs, name=outputs[0], **attributes))

    def replace_input(self, old: str, shape: Sequence[int | str], *, channels_last: bool) -> None:
        """Put the input `image`, float32 [n, 3, h, w], in the place of the input `old`."""
        from onnx import helper

        source = self.model.graph
        kind, options = ("Transpose", {"perm": [0, 2, 3, 1]}) if channels_last else ("Identity", {})
        source.node.insert(0, helper.make_node(kind, [INPUT_NAME], [old], name=old, **options))
        del source.input[:]
        source.input.append(helper.make_tensor_value_info(INPUT_NAME, FLOAT, list(shape)))

    def constant(self, name: str, value: np.ndarray | np.generic | Sequence[int]) -> str:
        """Add an initializer; returns its name."""
        from onnx import numpy_helper

        array = value if isinstance(value, np.ndarray | np.generic) else np.array(value, np.int64)
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def pin_size(self, size: tuple[int, int]) -> None:
        """State the input's height and width, so that a runtime can plan for them."""
        dims = self.inputs()[0].type.tensor_type.shape.dim
        dims[2].dim_value, dims[3].dim_value = size

    def finish(self, outputs: Sequence[tuple[str, Sequence[int | str | None] | None]]) -> bytes:
        """Serialize the part of the model that computes these float32 outputs.

        Parameters
        ----------
        outputs : sequence of (name, shape)
            Any tensor of the graph, with as much of its shape as is known (None: nothing).

        Returns
        -------
        bytes
            The same bytes for the same edits; no documentation texts, no stale shapes.
        """
        from onnx import ModelProto, helper

        source = self.model.graph
        kept = _needed_nodes(source, {name for name, _ in outputs})
        used = {name for node in kept for name in _reads(node)} | {name for name, _ in outputs}
        model = ModelProto()
        # Before version 4 every initializer had to be an input as well.
        model.ir_version = max(self.model.ir_version, 4)
        model.opset_import.extend(self.model.opset_import)
        model.functions.extend(self.model.functions)
        model.producer_name = "anomalens"
        graph = model.graph
        graph.name = source.name or "graph"
        graph.node.extend(kept)
        graph.initializer.extend(t for t in source.initializer if t.name in used)
        graph.sparse_initializer.extend(t for t in source.sparse_initializer if t.values.name in used)
        graph.input.extend(v for v in self.inputs() if v.name in used)
        for name, shape in outputs:
            graph.output.append(helper.make_tensor_value_info(name, FLOAT, shape))
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def _needed_nodes(graph: Any, outputs: set[str]) -> list[Any]:
    needed = set(outputs)
    kept = []
    # ONNX requires nodes in the order of computation, so one walk backwards finds all.
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_reads(node))
    return kept[::-1]


def _reads(node: Any) -> Iterable[str]:
    """Every outer name a node uses, also from inside the branches of an If or a Loop."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            for inner in graph.node:
                names.update(_reads(inner))
            names.update(value.name for value in graph.output)
    return names

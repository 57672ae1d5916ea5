"""An ONNX graph of convolutions as a torch module whose weights can be trained."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.errors import BackboneError

_OPERATIONS: Final = (
    "Conv", "Clip", "Relu", "Add", "Mul", "Sigmoid", "GlobalAveragePool", "Identity", "Pad", "MaxPool",
    "AveragePool", "Concat", "BatchNormalization",
)  # fmt: skip


class GraphModule(nn.Module):
    """Runs the graph's nodes in their order; its float initialisers are parameters.

    Raises
    ------
    BackboneError
        The graph has an operation that is not known here.
    """

    def __init__(self, graph: bytes) -> None:
        super().__init__()
        model = onnx.load_from_string(graph)
        unknown = sorted({node.op_type for node in model.graph.node} - set(_OPERATIONS))
        if unknown:
            raise BackboneError(
                f"This backbone has {', '.join(unknown)}, which cannot be tuned here; use train=frozen, or a "
                "packaged backbone."
            )
        odd = [
            node.op_type
            for node in model.graph.node
            for a in node.attribute
            if "Pool" in node.op_type
            and a.name in ("ceil_mode", "auto_pad", "count_include_pad", "dilations")
        ]
        odd += [n.op_type for n in model.graph.node if n.op_type == "AveragePool" and _padded(n)]
        if odd:
            raise BackboneError(
                f"This backbone pools ({odd[0]}) in a way that cannot be tuned here; use train=frozen, or a "
                "packaged backbone."
            )
        self.nodes = [
            (
                node.op_type,
                list(node.input),
                list(node.output),
                {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in model.graph.node
        ]
        self.input_name = model.graph.input[0].name
        self.output_names = [output.name for output in model.graph.output]
        self.weights = nn.ParameterDict()
        self.constants: dict[str, Any] = {}
        self.keys: dict[str, str] = {}
        for number, initialiser in enumerate(model.graph.initializer):
            value = numpy_helper.to_array(initialiser)
            if value.dtype == np.float32 and value.ndim:
                key = f"w{number:04d}"
                self.keys[initialiser.name] = key
                self.weights[key] = nn.Parameter(torch.from_numpy(value.copy()))
            else:
                self.constants[initialiser.name] = value

    def forward(self, images: Tensor) -> list[Tensor]:
        values: dict[str, Tensor] = {self.input_name: images}
        for operation, inputs, outputs, attributes in self.nodes:
            given = [self._value(name, values) for name in inputs]
            values[outputs[0]] = _run(operation, given, attributes)
        return [values[name] for name in self.output_names]

    def _value(self, name: str, values: dict[str, Tensor]) -> Any:
        if name in values:
            return values[name]
        if name in self.keys:
            return self.weights[self.keys[name]]
        return self.constants.get(name)


def _padded(node: Any) -> bool:
    return any(a.name == "pads" and any(a.ints) for a in node.attribute)


def _padding(attributes: dict[str, Any], x: Tensor, weight: Tensor, stride: list[int]) -> list[int]:
    """Rows above, columns left, rows below, columns right."""
    if attributes.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID"):
        return list(attributes.get("pads", [0, 0, 0, 0]))
    both = []
    for side, kernel, step in zip(x.shape[2:], weight.shape[2:], stride, strict=True):
        total = max(0, (-(-side // step) - 1) * step + kernel - side)
        both.append((total // 2, total - total // 2))
    if attributes["auto_pad"] == b"SAME_LOWER":
        both = [(after, before) for before, after in both]
    (top, bottom), (left, right) = both
    return [top, left, bottom, right]


def _run(operation: str, given: list[Any], attributes: dict[str, Any]) -> Tensor:
    x = given[0]
    if operation == "Conv":
        bias = given[2] if len(given) > 2 else None
        stride, groups = attributes.get("strides", [1, 1]), attributes.get("group", 1)
        top, left, bottom, right = _padding(attributes, x, given[1], stride)
        if (top, left) != (bottom, right):
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        dilation = attributes.get("dilations", [1, 1])
        return F.conv2d(x, given[1], bias, stride, (top, left), dilation, groups)
    if operation == "Clip":
        low, high = (None if value is None else float(value) for value in (*given[1:], None, None)[:2])
        return torch.clamp(x, low, high)
    if operation == "BatchNormalization":
        scale, shift, mean, var = given[1:5]
        return F.batch_norm(x, mean, var, scale, shift, False, 0.0, attributes.get("epsilon", 1e-5))
    if operation in ("Add", "Mul"):
        other = given[1]
        other = torch.from_numpy(np.asarray(other)) if isinstance(other, np.ndarray) else other
        found: Tensor = x + other if operation == "Add" else x * other
        return found
    if operation == "Concat":
        return torch.cat(given, attributes["axis"])
    if operation == "Pad":
        pads = [int(value) for value in np.asarray(given[1])]
        return F.pad(x, (pads[3], pads[7], pads[2], pads[6]))
    if operation in ("MaxPool", "AveragePool"):
        kernel, stride = attributes["kernel_shape"], attributes.get("strides", [1, 1])
        top, left, _, _ = attributes.get("pads", [0, 0, 0, 0])
        pool = F.max_pool2d if operation == "MaxPool" else F.avg_pool2d
        pooled: Tensor = pool(x, kernel, stride, (top, left))
        return pooled
    simple = {
        "Relu": F.relu, "Sigmoid": torch.sigmoid, "Identity": lambda value: value,
        "GlobalAveragePool": lambda value: value.mean((2, 3), keepdim=True),
    }  # fmt: skip
    result: Tensor = simple[operation](x)
    return result

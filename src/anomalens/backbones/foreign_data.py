"""Refuses graphs that refer to data outside their own bytes, without the onnx package.

An ONNX tensor may say "my numbers are in that other file" (`TensorProto.external_data`, with
`data_location = EXTERNAL`), and a runtime would open whatever path it names; ONNX Runtime even
knows a marker that means "at this memory address". Model files may come from strangers, so no
graph of ours may do this. Searching the bytes for the key "location" is not enough: it would
refuse harmless graphs that use the word in a name, and a stranger can encode lengths unusually.
So the wire format is walked, visiting only the messages that can hold tensors. It also refuses
other formats that the runtimes would otherwise guess from the first bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from anomalens.errors import BackboneError

MAX_DEPTH: Final = 64

# Message -> field number -> the message inside (onnx.proto3); what is not here holds no tensor.
_INSIDE: Final[dict[str, dict[int, str]]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_EXTERNAL_DATA: Final = 13
_DATA_LOCATION: Final = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Malformed(Exception):
    pass


def check_self_contained(graph: bytes) -> None:
    """Refuse a graph that is not an ONNX model or that refers to data outside itself.

    Parameters
    ----------
    graph : bytes
        A serialized `onnx.ModelProto`.

    Raises
    ------
    BackboneError
        Says which of the two.
    """
    try:
        fields = {number for number, _, _ in _fields(memoryview(graph))}
        if 7 not in fields:
            raise _Malformed
        foreign = _is_foreign(memoryview(graph), "Model", 0)
    except _Malformed:
        raise BackboneError("The graph is not an ONNX model: export it again in the ONNX format.") from None
    if foreign:
        raise BackboneError(
            "The graph keeps weights in another file, which is not allowed: save it again as one "
            "file (onnx.save with save_as_external_data=False)."
        )


def _is_foreign(message: memoryview, kind: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise _Malformed
    inside = _INSIDE[kind]
    for number, wire, value in _fields(message):
        if kind == "Tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
        elif number in inside:
            if wire != _BYTES or isinstance(value, int):
                raise _Malformed
            if _is_foreign(value, inside[number], depth + 1):
                return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        value: memoryview | int
        if wire == _VARINT:
            value, at = _varint(message, at)
        elif wire == _BYTES:
            length, at = _varint(message, at)
            value = message[at : at + length]
            at += length
        elif wire in (_FIXED64, _FIXED32):
            value = 0
            at += 8 if wire == _FIXED64 else 4
        else:
            raise _Malformed
        # A parser may cut a longer tag to 32 bits, which could then mean another field.
        if number == 0 or tag >= 2**32 or at > len(message):
            raise _Malformed
        yield number, wire, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at + place >= len(message):
            raise _Malformed
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & (2**64 - 1), at + place + 1
    raise _Malformed

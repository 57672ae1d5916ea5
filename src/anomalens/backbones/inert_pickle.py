"""A pickled state dict as inert values: `pickletools` tells the opcodes, and nothing is ever called.

A pickle is a program for a small stack machine; Python's own machine can be told to call any function. This
one knows thirty opcodes, and its values are `None`, bool, int, str, tuple, list, dict, and the two records
below. The only "calls" are an empty `OrderedDict` and a description of a tensor. It sets no limits, so it is
for files whose digest has been checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pickletools import genops
from typing import IO, Any, Final

_ORDERED_DICT: Final = "collections OrderedDict"
_REBUILD: Final = "torch._utils _rebuild_tensor_v2"
_STORAGES: Final = {"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK: Final = object()


class Refused(Exception):
    """The stream asks for something outside the allow-list; says what."""


@dataclass(frozen=True)
class StorageReference:
    """Names a run of numbers that follows the pickles in the file, of the type `<f4` or `<i8`."""

    key: str
    dtype: str


@dataclass(frozen=True)
class TensorReference:
    """A view of a storage: offset and strides count elements, not bytes."""

    storage: StorageReference
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    name: str


def load_inert(stream: IO[bytes]) -> Any:
    """What the pickle at this place builds; the stream then stands behind it.

    Raises
    ------
    Refused
        For anything outside the allow-list.
    ValueError, IndexError, KeyError, TypeError, AttributeError
        For what is no pickle.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def to_mark() -> list[Any]:
        place = len(stack) - 1 - stack[::-1].index(_MARK)
        items = stack[place + 1 :]
        del stack[place:]
        return items

    steps: Iterator[tuple[Any, Any, Any]] = genops(stream)
    for opcode, argument, _ in steps:
        match opcode.name:
            case "PROTO" | "STOP":
                pass
            case "MARK":
                stack.append(_MARK)
            case "NONE" | "NEWTRUE" | "NEWFALSE" | "EMPTY_TUPLE" as name:
                stack.append(_CONSTANTS[name])
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE":
                stack.append(tuple(to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
            case "APPEND" | "APPENDS" as name:
                items = to_mark() if name == "APPENDS" else [stack.pop()]
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS" as name:
                items = to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "GLOBAL":
                stack.append(_allowed(argument))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_called(called, arguments))
            case "BUILD":  # the one state that a state dict carries is its modules' version numbers
                stack.pop()
            case name:
                raise Refused(f"its pickle uses the opcode {name}, which is not allowed")
    return stack.pop()


def _allowed(name: str) -> _Global:
    if name not in (_ORDERED_DICT, _REBUILD) and name not in _STORAGES:
        raise Refused(f"its pickle asks for {name.replace(' ', '.')!r}, which is not allowed")
    return _Global(name)


def _storage(described: Any) -> StorageReference:
    match described:
        case ("storage", _Global(name=name), str(key), str(), int(), None) if name in _STORAGES:
            return StorageReference(key, _STORAGES[name])
    raise Refused("its pickle describes a storage that is not float32 or int64")


def _called(called: Any, arguments: Any) -> Any:
    match called, arguments:
        case _Global(name=name), () if name == _ORDERED_DICT:
            return {}
        case _Global(name=name), (
            StorageReference() as storage,
            int(offset),
            tuple(shape),
            tuple(strides),
            *_,
        ):
            if name == _REBUILD:
                return TensorReference(storage, offset, shape, strides)
    raise Refused("its pickle calls something that is not allowed")

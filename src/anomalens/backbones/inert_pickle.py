"""Reads the few pickle opcodes that a state dict needs, and can build nothing else.

A pickle is a program for a small stack machine; Python's own machine can be told to call any
function. This one knows about thirty opcodes, all of protocol 2, and its values are inert: `None`,
bool, int, str, tuple, list, dict with str keys, and the two records below. The only "calls" are an
empty `OrderedDict` and a description of a tensor. `pickletools.genops` is not used: it accepts
every opcode and decodes long texts before they can be refused.

Every limit is checked before the memory it protects is used, and values are never compared,
hashed or printed whole, because shared tuples can unfold to an exponential size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

MAX_OPCODES: Final = 200_000
MAX_STACK: Final = 65_536
MAX_MEMO: Final = 65_536
MAX_TEXT: Final = 1_024
MAX_INTEGER_BYTES: Final = 16

_ORDERED_DICT: Final = "collections OrderedDict"
_REBUILD: Final = "torch._utils _rebuild_tensor_v2"
_STORAGES: Final = {"torch FloatStorage": "<f4", "torch LongStorage": "<i8"}


class Refused(Exception):
    """The stream is malformed or asks for something outside the allow-list; says what."""


@dataclass(frozen=True)
class StorageReference:
    """Names a run of numbers that follows the pickles in the file.

    `dtype` is little-endian float32 (`<f4`) or int64 (`<i8`), `length` counts elements.
    """

    key: str
    dtype: str
    length: int


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


_MARK: Final = object()


def load_inert(data: memoryview, start: int) -> tuple[Any, int]:
    """Interpret one pickle.

    Parameters
    ----------
    data : memoryview
        The file's bytes.
    start : int
        Where the pickle begins, in bytes.

    Returns
    -------
    value, end
        What the pickle builds, and the place of the first byte after it.

    Raises
    ------
    Refused
        For anything malformed, over a limit, or outside the allow-list.
    """
    return _Machine(data, start).run()


class _Machine:
    def __init__(self, data: memoryview, start: int) -> None:
        self._data = data
        self._at = start
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        for _ in range(MAX_OPCODES):
            code = self._take(1)[0]
            if code == 0x2E:  # STOP
                value = self._pop()
                if self._stack:
                    raise Refused("its pickle leaves values on the stack")
                return value, self._at
            step = _STEPS.get(code)
            if step is None:
                raise Refused(f"its pickle uses the opcode 0x{code:02x}, which is not allowed")
            step(self)
            if len(self._stack) > MAX_STACK or len(self._memo) > MAX_MEMO:
                raise Refused("its pickle holds more values than allowed")
        raise Refused("its pickle is longer than allowed")

    # Bytes

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise Refused("it ends in the middle of a pickle")
        taken = bytes(self._data[self._at : end])
        self._at = end
        return taken

    def _unsigned(self, count: int) -> int:
        return int.from_bytes(self._take(count), "little")

    def _line(self) -> str:
        window = bytes(self._data[self._at : self._at + 128])
        length = window.find(b"\n")
        if length < 0:
            raise Refused("its pickle names something too long")
        self._at += length + 1
        return window[:length].decode("ascii", "replace")

    # Stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise Refused("its pickle takes a value from an empty stack")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise Refused("its pickle misses a mark")

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise Refused(f"its pickle fills something that is not a {kind.__name__}")
        return self._stack[-1]

    # Opcodes

    def protocol(self) -> None:
        if self._unsigned(1) != 2:
            raise Refused("its pickle protocol is not 2")

    def integer(self, count: int) -> None:
        self._push(self._unsigned(count))

    def signed(self) -> None:
        self._push(struct.unpack("<i", self._take(4))[0])

    def long(self) -> None:
        count = self._unsigned(1)
        if count > MAX_INTEGER_BYTES:
            raise Refused("its pickle holds a number that is too large")
        self._push(int.from_bytes(self._take(count), "little", signed=True))

    def text(self) -> None:
        length = self._unsigned(4)
        if length > MAX_TEXT:
            raise Refused(f"its pickle holds a text of {length} bytes; {MAX_TEXT} are allowed")
        try:
            self._push(self._take(length).decode("utf-8"))
        except UnicodeDecodeError:
            raise Refused("its pickle holds a text that is not UTF-8") from None

    def put(self, count: int) -> None:
        key = self._unsigned(count)
        value = self._pop()
        self._push(value)
        self._memo[key] = value

    def get(self, count: int) -> None:
        key = self._unsigned(count)
        if key not in self._memo:
            raise Refused("its pickle recalls a value it never stored")
        self._push(self._memo[key])

    def tuple_of(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def append(self) -> None:
        item = self._pop()
        self._top(list).append(item)

    def appends(self) -> None:
        items = self._pop_to_mark()
        self._top(list).extend(items)

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._fill([key, value])

    def set_items(self) -> None:
        self._fill(self._pop_to_mark())

    def _fill(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise Refused("its pickle gives a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise Refused("its pickle has a key that is not a text")
            target[key] = value

    def named(self) -> None:
        name = f"{self._line()} {self._line()}"
        if name not in (_ORDERED_DICT, _REBUILD) and name not in _STORAGES:
            raise Refused(f"its pickle asks for {name.replace(' ', '.')!r}, which is not allowed")
        self._push(_Global(name))

    def persistent(self) -> None:
        match self._pop():
            case (
                "storage",
                _Global(name=name),
                str(key),
                str(),
                int(length),
                None,
            ) if name in _STORAGES and length >= 0:
                self._push(StorageReference(key, _STORAGES[name], length))
            case _:
                raise Refused("its pickle describes a storage that is not float32 or int64")

    def reduce(self) -> None:
        arguments, called = self._pop(), self._pop()
        name = called.name if isinstance(called, _Global) else ""
        if name == _ORDERED_DICT and isinstance(arguments, tuple) and not arguments:
            self._push({})
        elif name == _REBUILD:
            self._push(_tensor(arguments))
        else:
            raise Refused("its pickle calls something that is not allowed")

    def build(self) -> None:
        # The one state a state dict carries is `_metadata`, the modules' version numbers.
        self._pop()
        self._top(dict)


def _tensor(arguments: Any) -> TensorReference:
    match arguments:
        case (
            StorageReference() as storage,
            int(offset),
            tuple(shape),
            tuple(strides),
            bool(),
            dict(),
        ):
            if offset >= 0 and len(shape) == len(strides) and _counts(shape) and _counts(strides):
                return TensorReference(storage, offset, shape, strides)
    raise Refused("its pickle describes a tensor in a way that is not understood")


def _counts(values: tuple[Any, ...]) -> bool:
    return len(values) <= 8 and all(type(v) is int and 0 <= v < 2**40 for v in values)


_STEPS: Final[dict[int, Callable[[_Machine], None]]] = {
    0x80: _Machine.protocol,
    ord("("): lambda m: m._push(_MARK),
    ord("N"): lambda m: m._push(None),
    0x88: lambda m: m._push(True),
    0x89: lambda m: m._push(False),
    ord("K"): lambda m: m.integer(1),
    ord("M"): lambda m: m.integer(2),
    ord("J"): _Machine.signed,
    0x8A: _Machine.long,
    ord("X"): _Machine.text,
    ord("q"): lambda m: m.put(1),
    ord("r"): lambda m: m.put(4),
    ord("h"): lambda m: m.get(1),
    ord("j"): lambda m: m.get(4),
    ord(")"): lambda m: m._push(()),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    ord("t"): lambda m: m._push(tuple(m._pop_to_mark())),
    ord("]"): lambda m: m._push([]),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord("}"): lambda m: m._push({}),
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items,
    ord("c"): _Machine.named,
    ord("Q"): _Machine.persistent,
    ord("R"): _Machine.reduce,
    ord("b"): _Machine.build,
}

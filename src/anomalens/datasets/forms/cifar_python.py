"""CIFAR-10 and CIFAR-100 in their "python version", unpacked: pickles, of which nothing is executed.

A pickle is a program that can call any function. Here `pickletools` tells its steps, a few of them build
texts, numbers, lists and dictionaries, and the one "call" that is understood describes an array of bytes.
Whatever else a file asks for is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from pickletools import genops
from typing import Any, Final

import numpy as np

from anomalens.datasets.labelled_arrays import labelled_arrays
from anomalens.datasets.limits import check_array_bytes, reading
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet

_MARK: Final = object()
_SIDE: Final = 32
_TEXTS: Final = ("SHORT_BINSTRING", "BINSTRING", "STRING", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES")
_NUMBERS: Final = ("BININT", "BININT1", "BININT2", "INT")
_ARRAYS: Final = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_NAMES: Final = (*_ARRAYS, "numpy ndarray", "numpy dtype")


class _Refused(Exception):
    """A step that is not understood."""


@dataclass
class _Thing:
    """A name, or what a call of it would make; `state` is what it was then told."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: tuple[Any, ...] = field(default=())


def read_inert(file: Path) -> dict[str, Any]:
    """The dictionary that a pickle describes: texts, numbers, lists, and arrays of bytes.

    Raises
    ------
    ImageSetError
        The file is damaged, too large, or asks for anything else.
    """
    with reading(file, _Refused, ValueError, IndexError, KeyError, TypeError, AttributeError):
        check_array_bytes(file, file.stat().st_size)
        # from memory: a stream would make room for whatever length a damaged step declares
        found = _run(genops(file.read_bytes()))
        if not isinstance(found, dict):
            raise _Refused("it holds no dictionary")
        return {
            str(key): _array(value) if isinstance(value, _Thing) else value for key, value in found.items()
        }


def _run(steps: Any) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def to_mark() -> list[Any]:
        place = max(i for i, item in enumerate(stack) if item is _MARK)  # ValueError where there is none
        items = stack[place + 1 :]
        del stack[place:]
        return items

    for opcode, argument, _ in steps:
        match opcode.name:
            case "PROTO" | "STOP":
                pass
            case "MARK":
                stack.append(_MARK)
            case name if name in _TEXTS or name in _NUMBERS:
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "LIST":
                stack.append(to_mark())
            case "DICT":
                items = to_mark()
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "APPEND" | "APPENDS" as name:
                items = to_mark() if name == "APPENDS" else [stack.pop()]
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS" as name:
                items = to_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "TUPLE":
                stack.append(tuple(to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                n = int(name[-1])
                stack[-n:] = [tuple(stack[-n:])]
            case "GLOBAL":
                if argument not in _NAMES:
                    raise _Refused(f"it asks for {argument.replace(' ', '.')!r:.60}")
                stack.append(_Thing(argument))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_Thing(called.name, arguments))
            case "BUILD":
                state = stack.pop()
                stack[-1].state = state
            case name:
                raise _Refused(f"it has the step {name}")
    return stack.pop()


def _array(thing: _Thing) -> np.ndarray:
    """The array of bytes that a call would have made."""
    match thing:
        case _Thing(name, _, (_, (int(), *_) as shape, _Thing("numpy dtype", ("u1", *_)), flag, data)) if (
            name in _ARRAYS and not flag
        ):
            raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)
            return np.frombuffer(raw, np.uint8).reshape(shape)
    raise _Refused("it holds an array that is not one of bytes, row by row")


def _form(train: tuple[str, ...], test: str, meta: str, names: str, labels: str) -> Form:
    files = (*train, test, meta)

    def read(root: Path, seed: int) -> Classes:
        listed = read_inert(root / meta).get(names)
        if not isinstance(listed, list) or not listed or len(set(map(str, listed))) < len(listed):
            raise ImageSetError(f"{root / meta} must list each class once in {names}; fetch the data again.")
        classes = tuple(str(name) for name in listed)

        def part(name: str, of: tuple[str, ...]) -> ImageSet:
            found = [_batch(root / file, labels) for file in of]
            pixels = np.concatenate([rows for rows, _ in found])
            pixels = pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
            return labelled_arrays(
                name, pixels, np.concatenate([numbers for _, numbers in found]), classes, str(root)
            )

        return Classes(classes, part("train", train), part("test", (test,)))

    return Form(
        f"{', '.join(files)} (python version, unpacked)",
        lambda root: all((root / name).is_file() for name in files),
        read,
    )


def _batch(file: Path, labels: str) -> tuple[np.ndarray, np.ndarray]:
    found = read_inert(file)
    rows, numbers = found.get("data"), found.get(labels)
    good = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == 3 * _SIDE**2
    if not good or not isinstance(numbers, list) or not all(type(n) is int for n in numbers):
        raise ImageSetError(
            f"{file} must hold data [n, 3072] and {labels}, a list of numbers; fetch it again."
        )
    assert isinstance(rows, np.ndarray)
    return rows, np.array(numbers, np.int64)


CIFAR_10_PYTHON: Final = _form(
    tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta", "label_names", "labels"
)
CIFAR_100_PYTHON: Final = _form(("train",), "test", "meta", "coarse_label_names", "coarse_labels")
CIFAR_100_FINE_PYTHON: Final = _form(("train",), "test", "meta", "fine_label_names", "fine_labels")

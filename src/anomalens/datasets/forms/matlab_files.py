"""MATLAB 5 `.mat` files: numeric arrays and structures of them, with every length checked.

SVHN and CrackForest need little of the format, so little is read: no objects, functions, cells or
sparse matrices, no nesting beyond what a label file has. scipy's reader is not used: a damaged file can
end the process (scipy 1.17). Format: "MAT-File Format", The MathWorks, R2019b, chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.datasets.limits import check_array_bytes, reading
from anomalens.errors import ImageSetError

MatValue = np.ndarray | dict[str, "MatValue"]

_TYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_STRUCT: Final = 2
_NUMERIC: Final = range(6, 16)
_COMPLEX, _MAX_DEPTH, _MAX_ELEMENTS, _MAX_FIELDS = 0x0800, 4, 1000, 64


class _Damaged(Exception):
    pass


def read_mat(file: Path, wanted: tuple[str, ...]) -> dict[str, MatValue]:
    """Read the variables of these names; others are skipped.

    Returns
    -------
    dict
        Arrays in MATLAB's shape (column-major views), and dictionaries for 1 x 1 structures.

    Raises
    ------
    ImageSetError
        For another version of the format, damage, lengths beyond the limits, or a missing variable.
    """
    with reading(file, _Damaged, struct.error, ValueError, zlib.error):
        check_array_bytes(file, file.stat().st_size)
        found = _variables(file, file.read_bytes(), wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ImageSetError(
            f"{file} holds no variable {', '.join(missing)}; check that it is the file meant."
        )
    return found


def _variables(file: Path, data: bytes, wanted: tuple[str, ...]) -> dict[str, MatValue]:
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise ImageSetError(
            f"{file} is no MATLAB 5 file; save it with  save -v7  (files of version 7.3 are HDF5)."
        )
    if data[126:128] == b"MI":
        raise ImageSetError(f"{file} was written big-endian; save it again with a current MATLAB.")
    found: dict[str, MatValue] = {}
    view = memoryview(data)
    place = 128
    for _ in range(_MAX_ELEMENTS):
        if place + 8 > len(view):
            break
        kind, body, place = _element(view, place, padded=False)
        if kind == _COMPRESSED:
            kind, body, _ = _element(_inflate(file, body), 0)
        if kind != _MATRIX:
            continue
        name, value = _matrix(file, body, wanted, 0)
        if name in wanted and value is not None:
            found[name] = value
    return found


def _inflate(file: Path, body: memoryview) -> memoryview:
    inflater = zlib.decompressobj()
    start = inflater.decompress(body, 8)
    if len(start) < 8:
        raise _Damaged("a compressed variable is truncated")
    size = struct.unpack("<I", start[4:])[0]
    check_array_bytes(file, size)
    rest = inflater.decompress(inflater.unconsumed_tail, size + 8) if size else b""
    return memoryview(start + rest)


def _element(view: memoryview, place: int, *, padded: bool = True) -> tuple[int, memoryview, int]:
    """Type, body and end of the element at a place."""
    if place + 8 > len(view):
        raise _Damaged("it is truncated")
    kind, size = struct.unpack_from("<II", view, place)
    if kind >> 16:
        # a small element: its length shares the first word with the type, its data are the second
        size, kind = kind >> 16, kind & 0xFFFF
        if size > 4:
            raise _Damaged("an element has an impossible length")
        return kind, view[place + 4 : place + 4 + size], place + 8
    end = place + 8 + size
    if end > len(view):
        raise _Damaged("it is truncated")
    return kind, view[place + 8 : end], end + (-size % 8 if padded else 0)


def _matrix(
    file: Path, body: memoryview, wanted: tuple[str, ...] | None, depth: int
) -> tuple[str, MatValue | None]:
    """Name and value of one array; None for kinds that are not read, and for names not wanted."""
    if not body:
        return "", np.zeros((0, 0))
    _, flags, place = _element(body, 0)
    _, sides, place = _element(body, place)
    _, text, place = _element(body, place)
    flag = struct.unpack_from("<I", flags)[0]
    shape = tuple(np.frombuffer(sides, "<i4").tolist())
    name = bytes(text).decode("ascii")
    if (wanted is not None and name not in wanted) or depth > _MAX_DEPTH:
        return name, None
    if len(shape) < 2 or min(shape) < 0:
        raise _Damaged("an array has an impossible shape")
    count = math.prod(shape)
    if flag & 0xFF == _STRUCT and count == 1:
        return name, _struct(file, body, place, depth)
    if flag & 0xFF not in _NUMERIC or flag & _COMPLEX:
        return name, None
    kind, numbers, _ = _element(body, place)
    if kind not in _TYPES:
        raise _Damaged("an array has an unknown type of numbers")
    dtype = np.dtype(f"<{_TYPES[kind]}")
    if len(numbers) != count * dtype.itemsize:
        raise _Damaged("an array's length differs from its shape")
    return name, np.frombuffer(numbers, dtype).reshape(shape, order="F")


def _struct(file: Path, body: memoryview, place: int, depth: int) -> dict[str, MatValue]:
    _, width_text, place = _element(body, place)
    _, names_text, place = _element(body, place)
    width = struct.unpack_from("<i", width_text)[0]
    if not 0 < width <= 64 or len(names_text) % width or len(names_text) // width > _MAX_FIELDS:
        raise _Damaged("a structure has impossible field names")
    fields: dict[str, MatValue] = {}
    for start in range(0, len(names_text), width):
        field = bytes(names_text[start : start + width]).split(b"\0")[0].decode("ascii")
        kind, inner, place = _element(body, place)
        if kind != _MATRIX:
            raise _Damaged("a structure's field is no array")
        _, value = _matrix(file, inner, None, depth + 1)
        if value is not None:
            fields[field] = value
    return fields

"""MNIST's and Fashion-MNIST's IDX files, gzipped or not: a 16-byte header, then the pixels."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np

from anomalens.datasets.labelled_arrays import labelled_arrays
from anomalens.datasets.limits import check_array_bytes, reading
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet

DIGITS: Final = tuple("0123456789")
CLOTHES: Final = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

_PARTS: Final = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTES: Final = 8


def find_idx(folder: Path, stem: str, dimensions: int) -> Path | None:
    """A file such as `train-images-idx3-ubyte`, with a dot for the last dash as some unpackers write."""
    for dash in ("-", "."):
        for suffix in (".gz", ""):
            path = folder / f"{stem}{dash}idx{dimensions}-ubyte{suffix}"
            if path.is_file():
                return path
    return None


def read_idx(file: Path) -> np.ndarray:
    """An array of unsigned bytes.

    Raises
    ------
    ImageSetError
        For another kind of file, damage, or a length that differs from the declared one.
    """
    with reading(file, gzip.BadGzipFile, zlib.error, EOFError), file.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        return _read(file, gzip.GzipFile(fileobj=raw) if zipped else raw)


def _read(file: Path, stream: IO[bytes] | gzip.GzipFile) -> np.ndarray:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _UNSIGNED_BYTES or not 1 <= start[3] <= 4:
        raise ImageSetError(f"{file} is no IDX file of unsigned bytes; fetch it again.")
    sides = stream.read(4 * start[3])
    if len(sides) < 4 * start[3]:
        raise ImageSetError(f"{file} is truncated; fetch it again.")
    shape = struct.unpack(f">{start[3]}I", sides)
    size = math.prod(shape)
    check_array_bytes(file, size)
    data = bytearray()
    # in steps: a file that only claims to be large must not take memory before it proves it
    while chunk := stream.read(min(1 << 22, size + 1 - len(data))):
        data += chunk
    if len(data) != size:
        differs = "more" if len(data) > size else "fewer"
        raise ImageSetError(
            f"{file} declares {size} bytes of pixels or labels and holds {differs}; fetch it again."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def idx_form(class_names: Sequence[str]) -> Form:
    """The four IDX files of a dataset with these classes."""

    def recognises(root: Path) -> bool:
        return all(find_idx(root, f"{stem}-images", 3) for stem in _PARTS.values())

    def read(root: Path, seed: int) -> Classes:
        return Classes(tuple(class_names), part(root, "train"), part(root, "test"))

    def part(root: Path, name: str) -> ImageSet:
        stem = _PARTS[name]
        images, labels = find_idx(root, f"{stem}-images", 3), find_idx(root, f"{stem}-labels", 1)
        if images is None or labels is None:
            raise ImageSetError(
                f"{root} has no {stem}-labels-idx1-ubyte(.gz) beside its images; put it there."
            )
        return labelled_arrays(name, read_idx(images), read_idx(labels), class_names, str(root))

    return Form("train- and t10k- images-idx3-ubyte and labels-idx1-ubyte, .gz or not", recognises, read)

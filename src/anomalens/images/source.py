"""Where a picture comes from: a file, an array, a file inside an archive, or whatever else can be read.

A camera, a queue or a shard of a dataset need no more than this to be checked: an object with `read`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from anomalens.errors import ImageError
from anomalens.images.arrays import as_pixels
from anomalens.images.decode import Picture, decode, decode_bytes


class Source(Protocol):
    """One picture that can be read, again and again."""

    def read(self, name: str, *, reduce_to: int | None = None) -> Picture:
        """Decode it; `name` is what errors call it. Raises `ImageError`.

        Parameters
        ----------
        reduce_to : int, optional
            A JPEG may be decoded at reduced size; see `anomalens.images.decode.decode`.
        """

    def sha256(self, name: str) -> str:
        """Hash of what it holds. Raises `ImageError` where it cannot be read."""


@dataclass(frozen=True)
class FileSource:
    """An image file, or one page of a TIFF, counted from 0."""

    path: Path
    page: int = 0

    def read(self, name: str, *, reduce_to: int | None = None) -> Picture:
        return decode(self.path, page=self.page, reduce_to=reduce_to, name=name)

    def sha256(self, name: str) -> str:
        try:
            with self.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        except (OSError, ValueError) as error:
            raise ImageError(name, f"the file cannot be read ({error}).") from None
        if self.page:
            digest.update(f"#page{self.page + 1}".encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ArraySource:
    """An image in memory; it is validated when it is read."""

    array: np.ndarray

    def read(self, name: str, *, reduce_to: int | None = None) -> Picture:
        pixels = as_pixels(self.array, name)
        return Picture(pixels, (pixels.shape[1], pixels.shape[0]))

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256(f"{self.array.dtype.str}{self.array.shape}".encode())
        digest.update(np.ascontiguousarray(self.array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class PackedSource:
    """A file that lies uncompressed inside another one, as in a tar: nothing has to be unpacked.

    Attributes
    ----------
    archive : Path
    offset, size : int
        Where its bytes begin, and how many they are.
    suffix : str
        Lower-case suffix of its name; only a TGA is recognised by it.
    """

    archive: Path
    offset: int
    size: int
    suffix: str = ""

    def read(self, name: str, *, reduce_to: int | None = None) -> Picture:
        return decode_bytes(self.read_bytes(name), name=name, suffix=self.suffix, reduce_to=reduce_to)

    def sha256(self, name: str) -> str:
        return hashlib.sha256(self.read_bytes(name)).hexdigest()

    def read_bytes(self, name: str) -> bytes:
        """The file's bytes. Raises `ImageError`."""
        try:
            with self.archive.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ImageError(name, f"{self.archive.name} cannot be read ({reason}).") from None
        if len(data) < self.size:
            raise ImageError(name, f"{self.archive.name} is truncated; copy or fetch it again.")
        return data

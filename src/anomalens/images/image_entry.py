"""One image of a set: where it is, what is known of it, and how it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anomalens.errors import ImageError
from anomalens.images.arrays import as_pixels
from anomalens.images.decode import Picture, count_pages, decode, decode_bytes
from anomalens.images.packed import Packed

_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


@dataclass(frozen=True, eq=False)
class ImageEntry:
    """One image of a set, not yet decoded.

    Attributes
    ----------
    id : str
        Stable and unique in its set: the path below the set's root with forward slashes,
        `name.tif#page2` (from 1) for a page, `array-0007` (from 0) for an array.
    source : Path, ndarray or Packed
    page : int
        Page of a multi-page TIFF, from 0.
    label : str or None
        "good" is normal, any other text names the kind of anomaly, None is unknown.
    mask : Path or None
        Ground-truth mask; non-zero is anomalous.
    group : str or None
        Images of one group show one thing (exposures, copies, frames) and must never be split.
    reference : ImageEntry or None
        What the image should look like: its own defect-free template.
    """

    id: str
    source: Path | np.ndarray | Packed
    page: int = 0
    label: str | None = None
    mask: Path | None = None
    group: str | None = None
    reference: ImageEntry | None = None

    def read(self, *, reduce_to: int | None = None) -> Picture:
        """Decode the image; see `anomalens.images.decode.decode`. Raises `ImageError`."""
        if isinstance(self.source, np.ndarray):
            pixels = as_pixels(self.source, self.id)
            return Picture(pixels, (pixels.shape[1], pixels.shape[0]))
        if isinstance(self.source, Packed):
            raw = self.source.read_bytes(self.id)
            return decode_bytes(raw, name=self.id, suffix=self.source.suffix, reduce_to=reduce_to)
        return decode(self.source, page=self.page, reduce_to=reduce_to, name=self.id)

    def sha256(self) -> str:
        """Hash the image's bytes: the file's (and the page), or the array's values, shape, dtype.

        Raises
        ------
        ImageError
            When the file cannot be read.
        """
        if isinstance(self.source, np.ndarray):
            digest = hashlib.sha256(f"{self.source.dtype.str}{self.source.shape}".encode())
            digest.update(np.ascontiguousarray(self.source).data)
            return digest.hexdigest()
        if isinstance(self.source, Packed):
            return hashlib.sha256(self.source.read_bytes(self.id)).hexdigest()
        try:
            with self.source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        except (OSError, ValueError) as error:
            raise ImageError(self.id, f"the file cannot be read ({error}).") from None
        if self.page:
            digest.update(f"#page{self.page + 1}".encode())
        return digest.hexdigest()


def file_entries(path: Path, name: str) -> list[ImageEntry]:
    """One entry a page; the pages of one file show one thing, so they form a group."""
    pages = count_pages(path) if path.suffix.lower() in _TIFF_SUFFIXES else 1
    if pages == 1:
        return [ImageEntry(name, path)]
    return [ImageEntry(f"{name}#page{page + 1}", path, page=page, group=name) for page in range(pages)]


def unique_ids(entries: Iterable[ImageEntry]) -> tuple[ImageEntry, ...]:
    """The entries, those whose id was there before with a number behind it."""
    taken: set[str] = set()
    unique = []
    for entry in entries:
        name, copy = entry.id, 1
        while name in taken:
            copy += 1
            name = f"{entry.id} ({copy})"
        taken.add(name)
        unique.append(entry if name == entry.id else replace(entry, id=name))
    return tuple(unique)

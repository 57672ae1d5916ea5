"""One image of a set: where it is, what is known of it, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anomalens.errors import ImageSetError
from anomalens.images.decode import Picture
from anomalens.images.labels import ANOMALOUS, DEFECT, GOOD, NORMAL, Verdict
from anomalens.images.source import ArraySource, FileSource, Source
from anomalens.images.tiff import picture_pages

_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


@dataclass(frozen=True, eq=False)
class ImageEntry:
    """One image of a set, not yet decoded.

    Attributes
    ----------
    id : str
        Stable and unique in its set: the path below the set's root with forward slashes,
        `name.tif#page2` (from 1) for a page, `array-0007` (from 0) for an array.
    source : Source
        A path or an array becomes one.
    class_name : str or None
        What it shows, as a folder or a column calls it: a product, a digit, a kind of anomaly.
    verdict : "normal", "anomalous" or None
        Whether that is normal, where it is known.
    mask : Path or None
        Ground-truth mask; non-zero is anomalous.
    group : str or None
        Images of one group show one thing (exposures, copies, frames) and must never be split.
    reference : ImageEntry or None
        What the image should look like: its own defect-free template.
    capture : str or None
        The day, shift or camera that it was taken on.
    """

    id: str
    source: Source
    class_name: str | None = None
    verdict: Verdict | None = None
    mask: Path | None = None
    group: str | None = None
    reference: ImageEntry | None = None
    capture: str | None = None

    def __init__(
        self,
        id: str,
        source: Source | Path | np.ndarray,
        class_name: str | None = None,
        verdict: Verdict | None = None,
        mask: Path | None = None,
        group: str | None = None,
        reference: ImageEntry | None = None,
        capture: str | None = None,
    ) -> None:
        if isinstance(source, Path):
            source = FileSource(source)
        elif isinstance(source, np.ndarray):
            source = ArraySource(source)
        values = (id, source, class_name, verdict, mask, group, reference, capture)
        for field_, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, field_, value)

    @property
    def label(self) -> str | None:
        """What tables call it: "good", the kind of anomaly, or the class of an image nobody has judged."""
        if self.verdict == NORMAL:
            return GOOD
        if self.class_name == GOOD:  # of classes one may be called so, and be an anomaly all the same
            return f"class {GOOD}"
        return self.class_name or (DEFECT if self.verdict == ANOMALOUS else None)

    @property
    def page(self) -> int:
        """Which page of a TIFF it is, from 0."""
        return self.source.page if isinstance(self.source, FileSource) else 0

    @property
    def file(self) -> Path | None:
        """The image file, where it is one."""
        return self.source.path if isinstance(self.source, FileSource) else None

    def read(self, *, reduce_to: int | None = None) -> Picture:
        """Decode the image; see `anomalens.images.decode.decode`. Raises `ImageError`."""
        return self.source.read(self.id, reduce_to=reduce_to)

    def sha256(self) -> str:
        """Hash of what the source holds. Raises `ImageError` where it cannot be read."""
        return self.source.sha256(self.id)


def file_entries(path: Path, name: str) -> list[ImageEntry]:
    """One entry a page; the pages of one file show one thing, so they form a group."""
    pages = picture_pages(path) if path.suffix.lower() in _TIFF_SUFFIXES else [0]
    if len(pages) == 1:
        return [ImageEntry(name, FileSource(path, pages[0]))]
    return [ImageEntry(f"{name}#page{page + 1}", FileSource(path, page), group=name) for page in pages]


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


def entries_of(images: Iterator[object]) -> Iterator[ImageEntry]:
    """Entries of whatever comes: entries, arrays, paths, or (id, array); arrays alone are numbered.

    Raises
    ------
    ImageSetError
        For anything else, when it comes.
    """
    for number, item in enumerate(images):
        name = f"array-{number:04d}"
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            name, item = item
        if isinstance(item, ImageEntry):
            yield item
        elif isinstance(item, np.ndarray):
            yield ImageEntry(name, item)
        elif isinstance(item, str | os.PathLike):
            path = Path(item)
            yield ImageEntry(path.as_posix(), path)
        else:
            raise ImageSetError(
                f"Image {number + 1} is a {type(item).__name__}; give arrays, paths, or (id, array)."
            )

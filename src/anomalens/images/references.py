"""Which reference belongs to which image, by their names.

A reference shows what its image should look like: a defect-free template, the golden part. Files are paired
by name: the same path below both folders, or else the same stem, or else the same stem without what tells the
two kinds apart (`x_test` and `x_temp`, `x` and `x_template`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from anomalens.errors import ImageSetError
from anomalens.images.image_entry import ImageEntry

# what the two pictures of a pair are called besides their common name
_KINDS = r"test|tested|image|temp|template|ref|reference|golden|good|normal"
_ENDING = re.compile(rf"[_\-. ]+({_KINDS})$", re.IGNORECASE)


def references_by_name(
    images: Sequence[ImageEntry], references: Sequence[ImageEntry], *, origin: str
) -> list[ImageEntry | None]:
    """Each image's reference, or None where none goes by its name.

    Raises
    ------
    ImageSetError
        No image finds one, or two could be meant; `origin` is where the references come from.
    """
    found: list[ImageEntry | None] = [None] * len(images)
    for name_of in (_path, _stem, _shared_stem):
        listed: dict[str, list[ImageEntry]] = defaultdict(list)
        for reference in references:
            listed[name_of(reference)].append(reference)
        for place, image in enumerate(images):
            if found[place] is None:
                found[place] = _only(image, listed.get(name_of(image), ()))
    if not any(found):
        raise ImageSetError(
            f"None of the {len(images)} images has a reference in {origin}: {references[0].id} and "
            f"{images[0].id} do not go by one name; name each reference like its image, or like it and "
            "_template."
        )
    return found


def _only(image: ImageEntry, candidates: Iterable[ImageEntry]) -> ImageEntry | None:
    """The one candidate that is another file than the image."""
    others = [other for other in candidates if not _same_file(image, other)]
    if len(others) > 1:
        raise ImageSetError(
            f"{image.id} has several references of its name, {others[0].id} and {others[1].id}; put images "
            "and references into folders of the same structure, or list the pairs in a manifest."
        )
    return others[0] if others else None


def _same_file(a: ImageEntry, b: ImageEntry) -> bool:
    if a.file is None or b.file is None:
        return False
    return a.page == b.page and a.file.resolve() == b.file.resolve()


def _path(entry: ImageEntry) -> str:
    name = PurePosixPath(entry.id)
    return name.with_suffix("").as_posix() if name.suffix else entry.id


def _stem(entry: ImageEntry) -> str:
    return PurePosixPath(entry.id).stem


def _shared_stem(entry: ImageEntry) -> str:
    return _ENDING.sub("", _stem(entry)).lower()


def earlier_in_clip(entries: Iterable[ImageEntry], frames: int) -> tuple[ImageEntry, ...]:
    """The same images, each with the one so many before it in its clip (a group, or else a folder)."""
    clips: dict[str, list[ImageEntry]] = {}
    paired = []
    for entry in entries:
        clip = clips.setdefault(entry.group or str(PurePosixPath(entry.id).parent), [])
        clip.append(entry)
        paired.append(replace(entry, reference=clip[max(0, len(clip) - 1 - frames)]))
    return tuple(paired)

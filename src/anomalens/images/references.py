"""Which reference belongs to which image: by name, or in order.

A reference shows what its image should look like: a defect-free template, the golden part. Files are paired
by name: the same path below both folders, or else the same stem, or else the same stem without what tells the
two kinds apart (`x_test` and `x_temp`, `x` and `x_template`). One reference alone is everyone's.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from anomalens.errors import ImageSetError

if TYPE_CHECKING:
    from anomalens.images.image_set import ImageEntry, ImageSet

# what the two pictures of a pair are called besides their common name
_KINDS = r"test|tested|image|temp|template|ref|reference|golden|good|normal"
_ENDING = re.compile(rf"[_\-. ]+({_KINDS})$", re.IGNORECASE)


def with_references(images: ImageSet, source: object) -> ImageSet:
    """The same images, each with its reference where there is one, else with the one that it had.

    Parameters
    ----------
    images : ImageSet
    source : str, Path, or anything that `ImageSet.open` takes
        Of a folder, pattern or manifest the references are found by their names; a list, an array or an
        `ImageSet` is in the order of the images. One reference alone belongs to every image.

    Raises
    ------
    ImageSetError
        No image finds a reference, two references of one name could be meant, or their number differs
        from that of the images.
    """
    from anomalens.images.image_set import ImageSet

    references = ImageSet.open(source)
    if len(references) == 1:
        found: list[ImageEntry | None] = [references[0]] * len(images)
    elif isinstance(source, str | os.PathLike):
        found = _by_name(images, references)
    elif len(references) == len(images):
        found = list(references)
    else:
        raise ImageSetError(
            f"{len(references)} references were given for {len(images)} images; give one each in the same "
            "order, or one for all."
        )
    pairs = zip(images, found, strict=True)
    entries = (replace(image, reference=one or image.reference) for image, one in pairs)
    return replace(images, entries=tuple(entries))


def _by_name(images: ImageSet, references: ImageSet) -> list[ImageEntry | None]:
    found: list[ImageEntry | None] = [None] * len(images)
    for name_of in (_path, _stem, _shared_stem):
        listed = _listed(references, name_of)
        for place, image in enumerate(images):
            if found[place] is None:
                found[place] = _only(image, listed.get(name_of(image), ()))
    if not any(found):
        raise ImageSetError(
            f"None of the {len(images)} images has a reference in {references.origin}: {references[0].id} "
            f"and {images[0].id} do not go by one name; name each reference like its image, or like it and "
            "_template."
        )
    return found


def _listed(references: ImageSet, name_of: Callable[[ImageEntry], str]) -> dict[str, list[ImageEntry]]:
    listed: dict[str, list[ImageEntry]] = defaultdict(list)
    for reference in references:
        listed[name_of(reference)].append(reference)
    return listed


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

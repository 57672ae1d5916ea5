"""Images and their references, read and prepared side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomalens.errors import ImageError
from anomalens.images.arrays import Pixels
from anomalens.images.decode import Picture
from anomalens.images.geometry import Prepared
from anomalens.images.image_entry import ImageEntry
from anomalens.images.prefetch import Answers, stream
from anomalens.images.preprocess import Preprocessing

# Another resolution is fine, another shape shows another part of the scene.
_SAME_SHAPE: Final = 0.02


@dataclass(frozen=True, eq=False)
class Pair:
    """A prepared image, and its reference prepared in the same way where it has one.

    `picture` is what was decoded, where it was asked for.
    """

    image: Prepared
    reference: Pixels | None = None
    picture: Picture | None = None

    @property
    def equal(self) -> bool:
        """Whether the image is its reference, pixel by pixel: a template that stands for its own product."""
        return self.reference is not None and np.array_equal(self.image.pixels, self.reference)


def stream_pairs(
    images: Iterable[ImageEntry],
    preprocessing: Preprocessing,
    *,
    paired: bool,
    pictures: bool = False,
    workers: int = 2,
) -> Answers[Pair]:
    """Read and prepare all images, in order, each with its reference.

    Parameters
    ----------
    paired : bool
        Whether references are needed; else none is read.
    pictures : bool
        Whether the decoded picture is kept beside the prepared image.

    Yields
    ------
    (ImageEntry, Pair or ImageError)
        With the error of the image or of its reference: one bad file costs one answer.
    """
    references = _References(preprocessing)

    def prepare(entry: ImageEntry) -> Pair:
        picture = entry.read(reduce_to=preprocessing.reduce_to)
        image = preprocessing.apply(picture)
        reference = references.of(entry, image) if paired else None
        return Pair(image, reference, picture if pictures else None)

    return stream(images, prepare, workers=workers)


class _References:
    """Prepared references; the last one is remembered, for one golden picture may be that of thousands."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._last: tuple[ImageEntry, Prepared] | None = None

    def of(self, entry: ImageEntry, image: Prepared) -> Pixels:
        """The prepared reference of an entry; ImageError where it cannot be compared with the image."""
        if entry.reference is None:
            raise ImageError(entry.id, "it has no reference of its name; add one, or leave the image out.")
        try:
            reference = self._prepared(entry.reference)
        except ImageError as error:
            raise ImageError(
                entry.id, f"its reference {entry.reference.id} cannot be used: {error.problem}"
            ) from None
        (width, height), (other_width, other_height) = image.original_size, reference.original_size
        if abs(width * other_height / (height * other_width) - 1) > _SAME_SHAPE:
            raise ImageError(
                entry.id,
                f"it has {width} x {height} pixels and its reference {entry.reference.id} {other_width} x "
                f"{other_height}; give a reference that shows the same view in the same shape.",
            )
        return reference.pixels

    def _prepared(self, reference: ImageEntry) -> Prepared:
        last = self._last  # two threads may prepare the same one at first, which does no harm
        if last is not None and last[0] is reference:
            return last[1]
        picture = reference.read(reduce_to=self._preprocessing.reduce_to)
        prepared = self._preprocessing.apply(picture)
        self._last = reference, prepared
        return prepared

"""Images and their references, read and prepared side by side."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomalens.errors import ImageError
from anomalens.images.arrays import Pixels
from anomalens.images.geometry import Prepared
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.prefetch import stream
from anomalens.images.preprocess import Preprocessing

# Another resolution is fine, another shape shows another part of the scene.
_SAME_SHAPE: Final = 0.02


@dataclass(frozen=True, eq=False)
class Pair:
    """A prepared image, and its reference prepared in the same way where it has one."""

    image: Prepared
    reference: Pixels | None = None

    @property
    def equal(self) -> bool:
        """Whether the image is its reference, pixel by pixel: a template that stands for its own product."""
        return self.reference is not None and np.array_equal(self.image.pixels, self.reference)


def stream_pairs(
    images: ImageSet, preprocessing: Preprocessing, *, paired: bool, workers: int = 2
) -> Generator[tuple[int, Pair | ImageError], None, None]:
    """Read and prepare all images, in order, each with its reference.

    Parameters
    ----------
    paired : bool
        Whether references are needed; else none is read.

    Yields
    ------
    (int, Pair or ImageError)
        Index in the set, and the error of the image or of its reference: one bad file costs one answer.
    """

    def prepared(some: ImageSet) -> Generator[tuple[int, Prepared | ImageError], None, None]:
        return stream(some, preprocessing.apply, workers=workers, reduce_to=preprocessing.reduce_to)

    with closing(prepared(images)) as pictures:
        if not paired:
            for index, image in pictures:
                yield index, image if isinstance(image, ImageError) else Pair(image)
            return
        # one golden picture may be the reference of thousands: while it stays the same it is prepared once
        wanted = [entry.reference for entry in images]
        changes = [one for one, before in zip(wanted, [None, *wanted], strict=False) if one is not before]
        named = ImageSet(tuple(one for one in changes if one is not None), images.origin)
        with closing(prepared(named)) as references:
            reference: Prepared | ImageError | None = None
            before: ImageEntry | None = None
            for index, image in pictures:
                entry = images[index]
                if entry.reference is not before:
                    reference = None if entry.reference is None else next(references)[1]
                    before = entry.reference
                yield index, image if isinstance(image, ImageError) else _pair(entry, image, reference)


def _pair(entry: ImageEntry, image: Prepared, reference: Prepared | ImageError | None) -> Pair | ImageError:
    if entry.reference is None or reference is None:
        return ImageError(entry.id, "it has no reference of its name; add one, or leave the image out.")
    if isinstance(reference, ImageError):
        return ImageError(entry.id, f"its reference {entry.reference.id} cannot be used: {reference.problem}")
    (width, height), (other_width, other_height) = image.original_size, reference.original_size
    if abs(width * other_height / (height * other_width) - 1) > _SAME_SHAPE:
        return ImageError(
            entry.id,
            f"it has {width} x {height} pixels and its reference {entry.reference.id} {other_width} x "
            f"{other_height}; give a reference that shows the same view in the same shape.",
        )
    return Pair(image, reference.pixels)

"""Arrays of images with class numbers as sets of images that share the arrays' memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageSetError
from anomalens.images.folder_names import is_good
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet


def labelled_arrays(
    part: str, images: np.ndarray, numbers: NDArray[np.integer], names: Sequence[str], origin: str
) -> ImageSet:
    """A set over `images` `[n, h, w]` or `[n, h, w, c]`; ids are `part/00000`, of classes by these names.

    Raises
    ------
    ImageSetError
        When counts differ, or a number has no name.
    """
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3, 4)):
        raise ImageSetError(
            f"{origin}: the {part} images have shape {list(images.shape)}; [n, h, w] or "
            "[n, h, w, 1|3|4] is needed, so move the axes."
        )
    if numbers.ndim != 1 or len(numbers) != len(images):
        raise ImageSetError(
            f"{origin}: there are {len(images)} {part} images and labels of shape "
            f"{list(numbers.shape)}; give one label an image."
        )
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(names):
        raise ImageSetError(
            f"{origin}: the {part} labels go from {numbers.min()} to {numbers.max()}, but there are "
            f"{len(names)} class names; labels must be their places, from 0."
        )
    images.flags.writeable = False
    return ImageSet(
        tuple(
            ImageEntry(f"{part}/{index:05d}", image, class_name=names[number])
            for index, (image, number) in enumerate(zip(images, numbers.tolist(), strict=True))
        ),
        origin,
    )


def normal_by_name(names: Sequence[str]) -> str | None:
    """The one class whose name says that it is normal; None for none or several."""
    found = [name for name in names if is_good(name)]
    return found[0] if len(found) == 1 else None

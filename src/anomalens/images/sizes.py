"""How large images are prepared: a side, a width and a height, or `native`, the size they already have."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

import numpy as np

from anomalens.errors import ImageError, SettingError
from anomalens.images.image_set import ImageSet
from anomalens.images.steps import MAX_SIDE

Size = int | str | tuple[int, int]

NATIVE: Final = "native"
SIDE: Final = 256  # where nobody chose
MIN_SIDE: Final = 16
# Native sizes are those of most of at most so many images, spread over the set: reading all takes minutes.
_LOOKED_AT: Final = 25
_LARGE: Final = 2_000_000  # pixels; smaller images are no case for tiles
_MUCH: Final = 4.0
_SLACK: Final = 1.05  # of a number of pixels: sides come in steps
_TWO_SIDES: Final = re.compile(r"([0-9]{1,9})(?:\s*[x×]\s*([0-9]{1,9}))?", re.I)


def read_size(given: Size) -> tuple[int, int] | None:
    """Width and height in pixels of `256`, `"256"`, `"4000x3000"` or `(4000, 3000)`; None for `"native"`.

    Raises
    ------
    SettingError
        It is none of these, or a side is out of range.
    """
    if given == NATIVE:
        return None
    text = "x".join(map(str, given)) if isinstance(given, tuple) else str(given)
    found = _TWO_SIDES.fullmatch(text.strip())
    if found is None or isinstance(given, bool):
        raise SettingError(
            f"The size {given!r:.40} is none; give a side in pixels (256), both (4000x3000), or {NATIVE}."
        )
    width, height = int(found[1]), int(found[2] or found[1])
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise SettingError(f"The size {text} has a side out of range; give {MIN_SIDE} to {MAX_SIDE} pixels.")
    return width, height


def prepared_size(given: Size, images: ImageSet, *, multiple: int = 1) -> tuple[int, int]:
    """Width and height to prepare these images at, in pixels, each the nearest multiple of `multiple`.

    Raises
    ------
    SettingError
        See `read_size`; a native size may be out of range too.
    """
    found = read_size(given)
    if found is None:
        usual = usual_size(images)
        if usual is None:  # reading them all will say what is wrong with them
            return SIDE, SIDE
        found = read_size(usual)
    assert found is not None
    width, height = (max(multiple, round(side / multiple) * multiple) for side in found)
    return width, height


def same_shape(shape: tuple[float, float], *, pixels: float, multiple: int) -> tuple[int, int]:
    """Width and height of about so many pixels, 5 % more at most, in nearly the shape of `shape`.

    Both are multiples of `multiple`. An aspect that is off counts twice as much as pixels that are missing.
    """
    aspect = shape[0] / shape[1]
    widths = range(multiple, MAX_SIDE + 1, multiple)
    nearest = (
        (width, int(width / aspect / multiple + step) * multiple) for width in widths for step in (0, 1)
    )
    allowed = [size for size in nearest if 0 < size[1] <= MAX_SIDE and math.prod(size) <= _SLACK * pixels]

    def off(size: tuple[int, int]) -> float:
        width, height = size
        return abs(math.log(width * height / pixels)) + 2 * abs(math.log(width / height / aspect))

    return min(allowed, key=off, default=(multiple, multiple))


def usual_size(images: ImageSet) -> tuple[int, int] | None:
    """Width and height of most images, in pixels; None where none can be read.

    Where there are more than 25 images, 25 that are spread over the set are looked at.
    """
    sizes = Counter(_some_sizes(images))
    return sizes.most_common(1)[0][0] if sizes else None


def middle_shape(images: ImageSet) -> tuple[float, float] | None:
    """Width and height in pixels of an image of the median aspect and the median number of pixels.

    None where none of the images that are looked at, 25 at most, can be read.
    """
    sizes = np.array(_some_sizes(images), np.float64)
    if not len(sizes):
        return None
    aspect, pixels = np.median(sizes[:, 0] / sizes[:, 1]), np.median(sizes[:, 0] * sizes[:, 1])
    return float(np.sqrt(pixels * aspect)), float(np.sqrt(pixels / aspect))


def lost_by_shrinking(images: ImageSet, prepared: tuple[int, int], *, tiles: bool) -> str | None:
    """What to do where the first image is large and made less than a quarter as wide and high; else None.

    `tiles` says whether the detector can be put on tiles.
    """
    native = _size_of(images, 0) if len(images) else None
    if native is None or native[0] * native[1] < _LARGE:
        return None
    factors = [before / after for before, after in zip(native, prepared, strict=True)]
    if min(factors) <= _MUCH:
        return None
    return (
        f"Images of {native[0]} x {native[1]} pixels are made {prepared[0]} x {prepared[1]}: "
        f"{factors[0] * factors[1]:.0f} pixels become one and small faults vanish; "
        f"{'--tile 256 keeps them' if tiles else 'a larger --size loses fewer'}."
    )


def _some_sizes(images: ImageSet) -> list[tuple[int, int]]:
    places = np.linspace(0, len(images) - 1, _LOOKED_AT).round() if len(images) else np.zeros(0)
    found = (_size_of(images, int(place)) for place in np.unique(places))
    return [size for size in found if size is not None]


def _size_of(images: ImageSet, place: int) -> tuple[int, int] | None:
    try:
        return images.read(place, reduce_to=1).size  # a JPEG is decoded at an eighth
    except ImageError:
        return None

"""Which preprocessing a fit uses: the one asked for, or its words at a size that suits images and detector.

The shape of the images is kept. How many pixels of them a network sees is a question of time, and where
nobody chose a size it is answered by a quality: never more pixels than the images have, from 256 px on.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Final

from anomalens.detectors.contract import Detector
from anomalens.detectors.tiled import Tiled, can_be_tiled
from anomalens.errors import AnomalensWarning, SettingError, unknown_name
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.sizes import NATIVE, SIDE, Size, middle_shape, prepared_size, same_shape

QUALITIES: Final = {"fast": 256, "balanced": 384, "best": 640}  # sides of a square with as many pixels
_MULTIPLE: Final = 32  # of sides that nobody chose
_TINY: Final = 96  # images up to this side are not enlarged to 256 px
_TINY_SIDE: Final = 128  # what they are enlarged to: docs/evaluation.md
_FROM_SCRATCH: Final = 128
_ONE_PASS: Final = 2048 * 2048  # pixels; distances of all patches to all of a bank are held at once
_ONE_IMAGE: Final = 4096 * 4096  # pixels; the layers of a network alone take gigabytes


def preparation(
    asked: str | Preprocessing,
    images: ImageSet,
    *,
    size: Size | None,
    quality: str | None = None,
    detector: Detector,
) -> Preprocessing:
    """The preprocessing for these images and this detector; see `Inspector.fit`.

    Raises
    ------
    SettingError
        The words or the size cannot be read, a quality is given beside what it would choose, or images are
        too large for one pass of the detector.
    """
    tiled = isinstance(detector, Tiled)
    if quality is not None and quality not in QUALITIES:
        raise unknown_name("quality", quality, QUALITIES)
    if quality is not None and (tiled or size is not None or isinstance(asked, Preprocessing)):
        given = "tiles, whose images keep their size" if tiled else "a size"
        raise SettingError(f"The quality {quality} was given beside {given}; leave one of them out.")
    if isinstance(asked, Preprocessing):
        width, height = asked.output_size
    elif size is None and not tiled:
        width, height = suited_size(detector, images, quality)
    else:
        width, height = _on_grid(NATIVE if size is None else size, images, detector)
    if not tiled and width * height > (_ONE_PASS if detector.pixel_level else _ONE_IMAGE):
        tiles = "cut them into tiles, --tile 256, or " if can_be_tiled(detector) else ""
        raise SettingError(
            f"Images of {width} x {height} pixels are too large for one pass of {detector.name}; {tiles}give "
            "a smaller size."
        )
    if isinstance(asked, Preprocessing):
        return asked
    return Preprocessing.parse(asked, width=width, height=height)


def suited_size(detector: Detector, images: ImageSet, quality: str | None = None) -> tuple[int, int]:
    """Width and height of the prepared images where nobody chose a size, in pixels.

    In the images' shape, as many pixels as they have: at least as many as 256 x 256, at most as many as a
    square of the quality's side; without a quality the balanced one, and the fast one for detectors that
    look at an image as a whole, to whom more pixels say no more (benchmarks/shapes.md). Tiny images (up to
    96 px) are made as large as 128 x 128. Networks that are trained on pixels see squares of 128, and of tiny
    images of the next multiple of 32.
    """
    shape = middle_shape(images)
    if shape is None:  # reading them all will say what is wrong with them
        return SIDE, SIDE
    tiny = max(shape) <= _TINY
    if detector.from_scratch:
        side = -(-round(max(shape)) // _MULTIPLE) * _MULTIPLE if tiny else _FROM_SCRATCH
        return side, side
    fixed = fixed_size(detector)
    if fixed is not None:
        return fixed
    most = QUALITIES[quality or ("balanced" if detector.pixel_level else "fast")]
    pixels = _TINY_SIDE**2 if tiny else min(max(math.prod(shape), SIDE**2), most**2)
    return same_shape(shape, pixels=pixels, multiple=step_of(detector) or _MULTIPLE)


def _on_grid(size: Size, images: ImageSet, detector: Detector) -> tuple[int, int]:
    """The size asked for, or the nearest that the detector's networks take, and a word about it."""
    tiled = isinstance(detector, Tiled)
    asked = prepared_size(size, images)
    fixed = None if tiled else fixed_size(detector)
    multiple = 1 if tiled else step_of(detector) or 1
    found = fixed or prepared_size(size, images, multiple=multiple)
    if found != asked and size != NATIVE:
        takes = "this size only" if fixed else f"multiples of {multiple} only"
        warnings.warn(
            f"Images are prepared at {found[0]} x {found[1]} pixels instead of {asked[0]} x {asked[1]}: "
            f"{detector.name} takes {takes}.",
            AnomalensWarning,
            stacklevel=3,
        )
    return found


def fixed_size(detector: Detector) -> tuple[int, int] | None:
    """The only width and height that a network behind a detector takes; None where it takes others."""
    return next((size for _, size in _networks(detector) if size is not None), None)


def step_of(detector: Detector) -> int | None:
    """What widths and heights must be multiples of; None for a detector that takes all."""
    found = [multiple for multiple, _ in _networks(detector)]
    return math.lcm(*found) if found else None


def _networks(detector: Detector) -> Iterator[tuple[int, tuple[int, int] | None]]:
    """What sides are multiples of for each network behind a detector, and a fixed width and height."""
    from anomalens.backbones.registry import load_backbone

    for member in detector.made_of:
        yield from _networks(member)
    settings = getattr(detector, "settings", None)
    uses_it = getattr(settings, "features", "pretrained") == "pretrained"
    if uses_it and (backbone := getattr(settings, "backbone", None)):
        card = load_backbone(backbone).card
        yield card.multiple, (card.size[1], card.size[0]) if card.fixed else None
    elif detector.from_scratch and (depth := getattr(settings, "depth", None)):
        yield 2**depth, None

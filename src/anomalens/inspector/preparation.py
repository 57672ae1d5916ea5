"""Which preprocessing a fit uses: the one asked for, or its words at a size that suits the detector."""

from __future__ import annotations

from typing import Final

from anomalens.detectors.contract import Detector
from anomalens.detectors.tiled import Tiled, can_be_tiled
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.sizes import NATIVE, SIDE, Size, longer_side, prepared_size

_MULTIPLE: Final = 32  # of the sides that the packaged networks take
_TINY: Final = 96  # images up to this side are not enlarged to 256 px
_TINY_SIDE: Final = 128  # what they are enlarged to: docs/evaluation.md
_FROM_SCRATCH: Final = 128
_ONE_PASS: Final = 2048 * 2048  # pixels; distances of all patches to all of a bank are held at once
_ONE_IMAGE: Final = 4096 * 4096  # pixels; the layers of a network alone take gigabytes


def preparation(
    asked: str | Preprocessing, images: ImageSet, *, size: Size | None, detector: Detector
) -> Preprocessing:
    """The preprocessing for these images and this detector; see `Inspector.fit`.

    Raises
    ------
    SettingError
        The words or the size cannot be read, or images are too large for one pass of the detector.
    """
    tiled = isinstance(detector, Tiled)
    if isinstance(asked, Preprocessing):
        width, height = asked.output_size
    else:
        if size is None:
            size = NATIVE if tiled else usual_side(detector, images)
        width, height = prepared_size(size, images, multiple=1 if tiled else _MULTIPLE)
    if not tiled and width * height > (_ONE_PASS if detector.pixel_level else _ONE_IMAGE):
        tiles = "cut them into tiles, --tile 256, or " if can_be_tiled(detector) else ""
        raise SettingError(
            f"Images of {width} x {height} pixels are too large for one pass of {detector.name}; {tiles}give "
            "a smaller size."
        )
    if isinstance(asked, Preprocessing):
        return asked
    return Preprocessing.parse(asked, width=width, height=height)


def usual_side(detector: Detector, images: ImageSet) -> int:
    """The side of the prepared images where nobody chose, in pixels.

    256; of tiny images (≤ 96 px) 128. Networks that are trained on pixels see 128, and of tiny images the
    next multiple of 32.
    """
    side = longer_side(images)
    if side is None or side > _TINY:
        return _FROM_SCRATCH if detector.from_scratch else SIDE
    return -(-side // _MULTIPLE) * _MULTIPLE if detector.from_scratch else _TINY_SIDE

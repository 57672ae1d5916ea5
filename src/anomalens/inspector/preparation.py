"""Which preprocessing a fit uses: the one asked for, or its words at a size that suits the detector."""

from __future__ import annotations

from typing import Final

from anomalens.detectors.contract import Detector
from anomalens.detectors.tiled_settings import is_tiled
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.sizes import NATIVE, SIDE, SIDE_FROM_SCRATCH, Size, prepared_size

_MULTIPLE: Final = 32  # of the sides that the packaged networks take
_ONE_PASS: Final = 2048 * 2048  # pixels; distances of all patches to all of a bank are held at once
_ONE_IMAGE: Final = 4096 * 4096  # pixels; the layers of a network alone take gigabytes


def preparation(
    asked: str | Preprocessing, images: ImageSet, *, size: Size | None, kind: type[Detector]
) -> Preprocessing:
    """The preprocessing for these images and this class of detector; see `Inspector.fit`.

    Raises
    ------
    SettingError
        The words or the size cannot be read, or images are too large for one pass of the detector.
    """
    if isinstance(asked, Preprocessing):
        return asked
    tiled = is_tiled(kind.name)
    if size is None:
        size = NATIVE if tiled else SIDE_FROM_SCRATCH if kind.from_scratch else SIDE
    width, height = prepared_size(size, images, multiple=1 if tiled else _MULTIPLE)
    if not tiled and width * height > (_ONE_PASS if kind.pixel_level else _ONE_IMAGE):
        tiles = "cut them into tiles, --tile 256, or " if may_be_tiled(kind) else ""
        raise SettingError(
            f"Images of {width} x {height} pixels are too large for one pass of {kind.name}; {tiles}give a "
            "smaller size."
        )
    return Preprocessing.parse(asked, width=width, height=height)


def may_be_tiled(kind: type[Detector]) -> bool:
    """Whether `--tile` works with this class of detector."""
    made_of_others = ":" in kind.name
    return kind.pixel_level and not kind.uses_references and not made_of_others

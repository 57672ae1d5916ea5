"""What a mask's file says at each pixel, as a number that is 0 where nothing is marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalens.images.decode import decode, open_image
from anomalens.images.tiff import STARTS

_CLEAR: Final = 128  # of 255: what is more transparent marks nothing
_BLACK: Final = 16  # of 255


def mask_values(path: Path) -> NDArray[Any]:
    """Values [h, w] of a mask, 0 where it marks nothing.

    Where some pixels are transparent, opacity says what is marked. Of a palette it is the index, as labelling
    tools write it, whatever colours they show; where another index is black and most of the picture, that one
    is the ground. Values of a TIFF count as they are stored: numbers above 65535, floats, and booleans, which
    would be shown black.

    Raises
    ------
    ImageError
        The file cannot be decoded.
    """
    stored = _stored_in_tiff(path)
    if stored is not None:
        return stored
    with open_image(path) as image:
        if image.mode == "P":
            return _by_index(image)
        if image.mode in ("RGBA", "LA", "PA"):
            alpha = np.asarray(image.getchannel("A"))
            if (alpha < _CLEAR).any():
                return np.where(alpha < _CLEAR, 0, alpha)
            opaque: NDArray[Any] = np.asarray(image.convert("RGB")).max(axis=2)
            return opaque
    values: NDArray[Any] = decode(path).pixels.max(axis=2)
    return values


def _by_index(image: Image.Image) -> NDArray[Any]:
    index = np.asarray(image)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        return np.where(index == clear, 0, index.astype(np.int32) + 1)
    colours = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    counts = np.bincount(index.ravel(), minlength=len(colours))
    most = int(counts.argmax())
    if most and 2 * counts[most] > index.size and colours[most].max() < _BLACK <= colours[0].max():
        return np.where(index == most, 0, index.astype(np.int32) + 1)
    return index


def _stored_in_tiff(path: Path) -> NDArray[Any] | None:
    """The one channel of a TIFF as it is stored; None for other files, and for what is left to Pillow."""
    import tifffile

    try:
        with path.open("rb") as file:
            if not file.read(4).startswith(STARTS):
                return None
            file.seek(0)
            with tifffile.TiffFile(file) as tiff:
                page: Any = tiff.pages[0].aspage()
                if page.samplesperpixel != 1 or int(page.photometric) == 3:
                    return None
                values = np.asarray(page.asarray())
    except Exception:
        return None
    return values.astype(np.float64) if values.dtype.kind == "f" else values.astype(np.int64)

"""PNG with 16 bits a channel, in colour: Pillow keeps the upper 8 of them, and told to, the lower 8."""

from __future__ import annotations

import numpy as np
from PIL import PngImagePlugin

from anomalens.images.arrays import Pixels

_LOWER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}  # big-endian values read as little-endian ones


def lower_bytes(image: PngImagePlugin.PngImageFile) -> np.ndarray | None:
    """What the image will lack once it is loaded, uint8 [h, w, 3] or [h, w, 4]; None for nothing."""
    tile = image.tile[0] if len(image.tile) == 1 else None
    raw_mode = getattr(tile, "args", None)
    file = image.fp
    if file is None or tile is None or raw_mode not in _LOWER or "transparency" in image.info:
        return None
    place = file.tell()
    file.seek(0)
    twin = PngImagePlugin.PngImageFile(file)
    twin.tile = [tile._replace(args=_LOWER[raw_mode])]
    lower = np.asarray(twin)
    file.seek(place)
    return lower


def joined(upper: np.ndarray, lower: np.ndarray) -> Pixels:
    """All 16 bits as float32 on the 0-255 scale."""
    values: Pixels = (upper.astype(np.float32) * 256 + lower) / np.float32(257)
    return values

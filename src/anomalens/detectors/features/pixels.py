"""A small picture as features: the simplest baseline, for aligned images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.features.extractor import FeatureGroup
from anomalens.images.arrays import Pixels
from anomalens.images.resample import luma, resize


class SmallPicture:
    """Prepared image → its pixels [side · side · channels] at a small size, 0 to 1.

    Parameters
    ----------
    side : int
        The small picture's side, in pixels.
    colour : bool
        Three channels instead of grey.
    """

    def __init__(self, side: int, *, colour: bool) -> None:
        if not 2 <= side <= 128:
            raise ValueError(f"a small picture of {side} pixels")
        self._side, self._colour = side, colour
        channels = ("red", "green", "blue") if colour else ("grey",)
        self.groups = tuple(
            FeatureGroup(name, i * side * side, (i + 1) * side * side) for i, name in enumerate(channels)
        )

    def __call__(self, image: Pixels) -> NDArray[np.float32]:
        # floats before scaling: bytes would be rounded, and 16-bit sources scored otherwise
        small = resize(image.astype(np.float32), (self._side, self._side)) / np.float32(255)
        planes = small.transpose(2, 0, 1) if self._colour else luma(small)
        return np.asarray(planes, np.float32).ravel()

    def numbers(self) -> dict[str, Any]:
        return {"kind": "pixels", "side": self._side, "colour": self._colour}

    def graphs(self) -> dict[str, bytes]:
        return {}

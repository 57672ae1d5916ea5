"""How fast things move between two frames, by OpenCV's dense optical flow (DIS; Kroeger et al. 2016)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.images.arrays import Pixels
from anomalens.images.resample import luma
from anomalens.packages import opencv

CELL: Final = 8  # pixels; speeds are told for squares of this side
_WINDOW: Final = (8, 16)  # width and height that a speed is the mean of: swinging arms and legs cancel out


class Flow:
    """Speeds between frames; one thread at a time."""

    def __init__(self) -> None:
        self._cv2 = opencv()
        self._method = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def speeds(self, earlier: Pixels, now: Pixels) -> NDArray[np.float32]:
        """Lengths of the mean movement around each cell, in pixels, float32 [h // 8, w // 8]."""
        flow = self._method.calc(_grey(earlier), _grey(now), None)
        means = [self._cv2.blur(np.ascontiguousarray(flow[..., axis]), _WINDOW) for axis in (0, 1)]
        height, width = now.shape[0] // CELL, now.shape[1] // CELL
        middle = slice(CELL // 2, None, CELL)
        found: NDArray[np.float32] = np.hypot(*(m[middle, middle][:height, :width] for m in means))
        return found

    def enlarged(self, cells: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """A map of cells at (height, width) of the frame."""
        height, width = size
        grown = np.repeat(np.repeat(cells, CELL, 0), CELL, 1)
        down, right = height - grown.shape[0], width - grown.shape[1]
        padded = np.pad(grown, ((0, down), (0, right)), mode="edge")
        found: NDArray[np.float32] = self._cv2.blur(padded, (CELL, CELL))
        return found


def _grey(pixels: Pixels) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = np.clip(np.rint(luma(pixels)), 0, 255).astype(np.uint8)
    return grey

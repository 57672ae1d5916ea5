"""What stands out from the background of a fixed camera: boxes of things that move, or that were put there.

The background is a running median: each pixel goes one grey level towards what is shown, once a frame where
nothing stands out and `_SLOW` times less often where something does, so that what stands still is not
swallowed within seconds. Brightness of the whole picture is taken out first: a lamp or a camera's gain
moves all of it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.images.arrays import Pixels
from anomalens.images.resample import luma
from anomalens.packages import opencv

Box = tuple[int, int, int, int]

_SIDE: Final = 320  # pixels of the long side that is looked at
_STANDS_OUT: Final = 18  # grey levels
_SLOW: Final = 50
_SMALLEST: Final = 0.0006  # of the picture
_FIRST: Final = 15  # frames whose median is the first background


@dataclass(frozen=True)
class Mover:
    """Something that stands out: its box (x0, y0, x1, y1) in pixels of the frame."""

    box: Box

    @property
    def foot(self) -> tuple[float, float]:
        """The middle of its lower edge: where it stands."""
        return (self.box[0] + self.box[2]) / 2, float(self.box[3])


class Movers:
    """Finds what stands out, frame by frame; one stream each."""

    def __init__(self) -> None:
        self._cv2: Any = opencv()
        self._background: NDArray[np.float32] | None = None
        self._first: list[NDArray[np.float32]] = []
        self._frames = 0

    @property
    def ready(self) -> bool:
        """Whether there is a background to stand out from."""
        return self._background is not None

    def look(self, pixels: Pixels) -> list[Mover]:
        """What stands out in the next frame; nothing in the first few, which make the background."""
        grey = np.clip(np.rint(luma(pixels)), 0, 255).astype(np.uint8)
        scale = min(1.0, _SIDE / max(grey.shape))
        size = max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale))
        small = self._cv2.resize(grey, size, interpolation=self._cv2.INTER_AREA).astype(np.float32)
        small = self._cv2.blur(small, (3, 3))
        if self._background is not None and self._background.shape != small.shape:
            self._background, self._first = None, []
        if self._background is None:
            self._first.append(small)
            if len(self._first) < _FIRST:
                return []
            self._background = np.median(np.array(self._first), axis=0)
            self._first = []
        even = small * (np.median(self._background) / max(1.0, float(np.median(small))))
        outside = (np.abs(even - self._background) > _STANDS_OUT).astype(np.uint8)
        kernel = np.ones((3, 3), np.uint8)
        outside = self._cv2.morphologyEx(outside, self._cv2.MORPH_OPEN, kernel)
        outside = self._cv2.dilate(outside, np.ones((5, 3), np.uint8))
        self._learn(even, outside)
        return self._boxes(outside, grey.shape)

    def _learn(self, shown: NDArray[np.float32], outside: NDArray[np.uint8]) -> None:
        assert self._background is not None
        self._frames += 1
        step = np.sign(shown - self._background)
        if self._frames % _SLOW:
            step[outside > 0] = 0
        self._background += step

    def _boxes(self, outside: NDArray[np.uint8], shape: tuple[int, ...]) -> list[Mover]:
        n, _, about, _ = self._cv2.connectedComponentsWithStats(outside, connectivity=8)
        ay, ax = shape[0] / outside.shape[0], shape[1] / outside.shape[1]
        found = []
        for x, y, w, h, area in about[1:n].tolist():
            if area >= _SMALLEST * outside.size:
                box = round(x * ax), round(y * ay), round((x + w) * ax), round((y + h) * ay)
                found.append(Mover(box))
        return found

"""Where a prepared pixel lies in the original image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels

IntBox = tuple[int, int, int, int]
FloatBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class Affine:
    """Prepared → original coordinates: `x_orig = ax * x + bx`, `y_orig = ay * y + by`.

    Coordinates count from the outer edge of the image in pixels: pixel i covers i to i + 1.
    """

    ax: float
    ay: float
    bx: float
    by: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.ax, self.ay, self.bx, self.by)) or (
            self.ax <= 0 or self.ay <= 0
        ):
            raise SettingError(f"{self} is no scale and shift; both scales must be above 0.")

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Map one point to the original."""
        return self.ax * x + self.bx, self.ay * y + self.by

    def box(self, box: tuple[float, float, float, float]) -> FloatBox:
        """Map a box (x0, y0, x1, y1) to the original."""
        return (*self.point(box[0], box[1]), *self.point(box[2], box[3]))

    def inverse(self) -> Affine:
        """The map from original to prepared coordinates."""
        return Affine(1 / self.ax, 1 / self.ay, -self.bx / self.ax, -self.by / self.ay)


@dataclass(frozen=True, eq=False)
class Prepared:
    """One image as a detector gets it.

    Attributes
    ----------
    pixels : ndarray
        PIXELS `[H, W, 3]`.
    to_original : Affine
    original_size : (int, int)
        Width and height of the original in pixels.
    """

    pixels: Pixels
    to_original: Affine
    original_size: tuple[int, int]

    @property
    def visible(self) -> IntBox:
        """Box (x0, y0, x1, y1) of the prepared pixels that show the image and not padding."""
        height, width = self.pixels.shape[:2]
        x0, y0, x1, y1 = self.to_original.inverse().box((0, 0, *self.original_size))
        left, right = _span(x0, x1, width)
        top, bottom = _span(y0, y1, height)
        return left, top, right, bottom

    def with_pixels(self, pixels: Pixels) -> Prepared:
        """The same place, other values."""
        return replace(self, pixels=pixels)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    return max(0, round(low)), min(size, round(high))

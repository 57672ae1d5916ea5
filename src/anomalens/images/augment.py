"""Augmented copies of normal images, for detectors that learn from more views than were taken.

All geometric changes are one affine resampling over a mirrored border: no black corners, which a
detector would learn as normal. Which changes are harmless only the user knows: a flip turns a
mirrored part, an anomaly in many processes, into a normal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from anomalens.errors import SettingError, unknown_name
from anomalens.images.arrays import Pixels
from anomalens.images.json_fields import Recorded
from anomalens.images.resample import Matrix, warp

Flip = Literal["none", "horizontal", "vertical", "both"]

FLIPS = ("none", "horizontal", "vertical", "both")
_LIMITS = {"rotate": 180.0, "shear": 45.0, "scale": 0.5, "crop": 0.5, "brightness": 1.0}
_WHEN_NAMED = {"rotate": 10.0, "shear": 5.0, "scale": 0.1, "crop": 0.1, "brightness": 0.1}


@dataclass(frozen=True, kw_only=True)
class Augmentation(Recorded):
    """Ranges from which each copy draws uniformly; 0 and "none" change nothing.

    Parameters
    ----------
    flip : {"none", "horizontal", "vertical", "both"}
        Each named flip happens in half of the copies.
    rotate : float
        Up to this many degrees either way, 0-180.
    shear : float
        Up to this many degrees either way, 0-45.
    scale : float
        Factor from 1 - scale to 1 + scale, 0-0.5.
    crop : float
        Cut up to this fraction of each side at a random place and scale back up, 0-0.5.
    brightness : float
        Factor on the values from 1 - brightness to 1 + brightness, 0-1.
    """

    kind: ClassVar[str] = "augmentation"
    flip: Flip = "none"
    rotate: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0

    def __post_init__(self) -> None:
        if self.flip not in FLIPS:
            raise unknown_name("flip", str(self.flip), FLIPS)
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise SettingError(f"augmentation: {name}={value} is out of range; give 0 to {limit:g}.")

    @property
    def moves(self) -> bool:
        """Whether it changes where things lie, by other than whole pixels."""
        return bool(self.rotate or self.shear or self.scale or self.crop)

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """Read the command line's form, such as `flip,rotate=15,brightness=0.2`.

        A word without a value takes a mild one (`flip` is horizontal, `rotate` is 10 degrees).
        """
        known = [item.name for item in fields(cls)]
        given: dict[str, Any] = {}
        for item in (part.strip() for part in text.split(",")):
            if not item:
                continue
            word, _, value = item.partition("=")
            if word not in known:
                raise unknown_name("augmentation", word, known)
            if word in given:
                raise SettingError(f"The augmentation {word} is given twice; give it once.")
            if word == "flip":
                given[word] = value or "horizontal"
                continue
            try:
                given[word] = float(value) if value else _WHEN_NAMED[word]
            except ValueError:
                raise SettingError(
                    f"The augmentation {item} needs a number; write {word}={_WHEN_NAMED[word]:g}."
                ) from None
        return cls(**given)

    def apply(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """One random copy of PIXELS `[h, w, 3]`, same size and type."""
        # All numbers are drawn whatever the settings: one setting leaves the others' draws alone.
        draws = rng.uniform(-1, 1, size=9)
        if self.flip in ("horizontal", "both") and draws[0] > 0:
            pixels = pixels[:, ::-1]
        if self.flip in ("vertical", "both") and draws[1] > 0:
            pixels = pixels[::-1]
        if self.moves:
            pixels = self._move(pixels, draws[2:8])
        if self.brightness:
            values = np.clip(pixels * (1 + draws[8] * self.brightness), 0, 255)
            pixels = (np.rint(values) if pixels.dtype == np.uint8 else values).astype(pixels.dtype)
        contiguous: Pixels = np.ascontiguousarray(pixels)
        return contiguous

    def copies(self, pixels: Pixels, *, image_index: int, n: int, seed: int) -> list[Pixels]:
        """`n` copies of the image with this index; the same whatever the order of the images."""
        return [self.apply(pixels, np.random.default_rng([seed, image_index, copy])) for copy in range(n)]

    def _move(self, pixels: Pixels, draws: np.ndarray) -> Pixels:
        height, width = pixels.shape[:2]
        angle = math.radians(draws[0] * self.rotate)
        slant = math.tan(math.radians(draws[1] * self.shear))
        kept = 1 - self.crop * (draws[3] + 1) / 2
        zoom = kept / (1 + draws[2] * self.scale)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        linear = zoom * turn @ np.array([[1.0, slant], [0.0, 1.0]])
        middle = np.array([width, height]) / 2
        # The cut-out part lies anywhere inside the image, so its centre moves by its free room.
        centre = middle + draws[4:6] * (1 - kept) * middle
        offset = centre - linear @ middle
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ linear.T + offset
        # One pixel more than the samples reach, for bilinear interpolation at the edge.
        low = np.maximum(0, np.ceil(-corners.min(axis=0)) + 1).astype(int)
        high = np.maximum(0, np.ceil(corners.max(axis=0) - [width, height]) + 1).astype(int)
        wide: Pixels = np.pad(pixels, ((low[1], high[1]), (low[0], high[0]), (0, 0)), mode="symmetric")
        offset = offset + low
        matrix: Matrix = (
            float(linear[0, 0]), float(linear[0, 1]), float(offset[0]),
            float(linear[1, 0]), float(linear[1, 1]), float(offset[1]),
        )  # fmt: skip
        return warp(wide, (width, height), matrix)

"""Plain facts of an image, by which people tell one kind of picture from another."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from anomalens.images.blank import is_blank
from anomalens.images.geometry import Prepared

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_LOOKED_AT: Final = 96  # rows and columns; more tell no more


@dataclass(frozen=True)
class Facts:
    """Plain facts of one image.

    Attributes
    ----------
    side : float
        Square root of the number of pixels that the original has.
    brightness, contrast : float
        Mean and standard deviation of the prepared image's grey levels, 0 to 255.
    sharpness : float
        Mean difference of neighbouring grey levels.
    colour : float
        Median difference between the largest and the smallest of red, green and blue: paint on a grey part
        makes it no coloured picture.
    blank : float
        1 where all its rows are alike, or all its columns; else 0.
    """

    side: float
    brightness: float
    contrast: float
    sharpness: float
    colour: float
    blank: float

    @classmethod
    def of(cls, prepared: Prepared) -> Facts:
        """The facts of a prepared image, in a fraction of a millisecond."""
        rows, columns = (max(1, side // _LOOKED_AT) for side in prepared.pixels.shape[:2])
        some = np.asarray(prepared.pixels[::rows, ::columns], np.float32)
        grey, channels = some @ _LUMA, np.moveaxis(some, 2, 0)
        across = np.abs(np.diff(grey, axis=1)).mean() if grey.shape[1] > 1 else 0.0
        width, height = prepared.original_size
        return cls(
            side=float((width * height) ** 0.5),
            brightness=float(grey.mean()),
            contrast=float(grey.std()),
            sharpness=float(across),
            blank=float(is_blank(prepared.pixels)),
            colour=float(np.median(np.maximum.reduce(channels) - np.minimum.reduce(channels))),
        )


NAMES: Final = tuple(f.name for f in fields(Facts))

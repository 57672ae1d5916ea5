"""Handcrafted features of overlapping patches at one scale, in plain numpy.

Ten numbers a patch: mean brightness and two opponent colours; how much each scatters; the energy of
brightness along x and y and how it leans (the structure tensor, Bigün & Granlund 1987); and the contrast of
each pixel to the ring around it, the continuous form of what local binary patterns count (Ojala et al. 2002).
Energies and scatter enter as logarithms, in which they are about normally distributed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.windows import Windows
from anomalens.images.arrays import Pixels

NAMES: Final = (
    "brightness", "red-green", "yellow-blue",
    "brightness scatter", "red-green scatter", "yellow-blue scatter",
    "energy along x", "energy along y", "diagonal", "contrast",
)  # fmt: skip
# Grey levels: less is the noise of sensors and JPEG, and its logarithm would say much of nothing.
_NOISE: Final = 0.5

Floats = NDArray[np.float32]


class PatchTexture:
    """Features of the patches of prepared images, at one scale.

    Parameters
    ----------
    size : (height, width)
        The prepared images' size, in pixels.
    factor : int
        The image is reduced by this, as means of factor × factor pixels.
    side, step : int
        How large patches are and how far apart, in pixels of the reduced image.
    """

    def __init__(self, size: tuple[int, int], *, factor: int, side: int, step: int) -> None:
        cells = Windows.around_cells(size, factor, factor)
        self._reduce = cells.pooling(size) if factor > 1 else None
        self.windows = Windows.inside(size, side * factor, step * factor)
        self._pool = self.windows.pooling(cells.grid if factor > 1 else size)

    def __call__(self, planes: Floats) -> Floats:
        """Features [rows, columns, 10] of brightness and colours [3, h, w], as `opponent` gives them."""
        if self._reduce is not None:
            planes = np.asarray(self._reduce[0] @ planes @ self._reduce[1], np.float32)
        light = planes[0]
        padded = np.pad(light, 1, mode="edge")
        x = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
        y = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
        ring = (padded[1:-1, 2:] + padded[1:-1, :-2] + padded[2:, 1:-1] + padded[:-2, 1:-1]) / 4
        # squares of differences from the image's mean: those of large numbers lose digits
        middle = planes - planes.mean((1, 2), keepdims=True)
        stack = np.concatenate(
            [planes, middle, middle * middle, np.stack([x * x, y * y, x * y, np.abs(light - ring)])]
        )
        mean = self._pool[0] @ stack @ self._pool[1]  # [13, rows, columns]
        scatter = np.maximum(mean[6:9] - mean[3:6] ** 2, 0)
        energy = mean[9:11]
        noise = np.float32(_NOISE)
        features = np.concatenate(
            [
                mean[:3],
                np.log(np.sqrt(scatter) + noise),
                np.log(np.sqrt(energy) + noise),
                (mean[11] / (energy.sum(0) + noise * noise))[None],
                np.log(mean[12] + noise)[None],
            ]
        )
        return np.ascontiguousarray(features.transpose(1, 2, 0), np.float32)


def opponent(image: Pixels) -> Floats:
    """Brightness, red − green and yellow − blue, float32 [3, h, w]."""
    red, green, blue = image.astype(np.float32).transpose(2, 0, 1)
    return np.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue])

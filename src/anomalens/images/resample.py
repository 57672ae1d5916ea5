"""Resampling of PIXELS through Pillow, for both of their types."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from anomalens.images.arrays import Pixels

Box = tuple[float, float, float, float]
Matrix = tuple[float, float, float, float, float, float]


def resize(pixels: Pixels, size: tuple[int, int], box: Box | None = None) -> Pixels:
    """Scale PIXELS to `size` (width, height), bilinear with antialiasing.

    `box` (x0, y0, x1, y1 in pixels, fractions allowed) is the part that is scaled; all when None.
    """
    return _each(pixels, lambda image: image.resize(size, Image.Resampling.BILINEAR, box=box))


def warp(pixels: Pixels, size: tuple[int, int], matrix: Matrix) -> Pixels:
    """Sample PIXELS at x' = a·x + b·y + c, y' = d·x + e·y + f, bilinear, in pixel-edge coordinates.

    The caller makes sure that all samples fall inside.
    """
    return _each(
        pixels,
        lambda image: image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR),
    )


def luma(pixels: Pixels) -> Pixels:
    """ITU-R 601 luma `[h, w]` of PIXELS, in their type."""
    if pixels.dtype == np.uint8:
        return np.array(Image.fromarray(pixels).convert("L"))
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    # Not a matrix product: its order of summation may change between machines.
    grey: Pixels = pixels[..., 0] * weights[0] + pixels[..., 1] * weights[1] + pixels[..., 2] * weights[2]
    return grey


def _each(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    if pixels.dtype == np.uint8:
        return np.array(change(Image.fromarray(pixels)))
    # Pillow has no three-channel float mode.
    channels = [np.asarray(change(Image.fromarray(np.ascontiguousarray(pixels[..., c])))) for c in range(3)]
    return np.stack(channels, axis=2)

"""How an image differs from its reconstruction, pixel by pixel: L1, L2, SSIM, flat; and smoothing of maps."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.images.enlarging import enlarging_matrix

_WINDOW: Final = 11  # pixels, as in Wang et al. 2004
_C1, _C2 = 0.01**2, 0.03**2  # their constants, for values 0–1
_NEAR: Final = 5  # pixels, of the window of a reconstruction's contrast
_EDGE: Final = 0.1  # contrast, of 0–1, at which an error counts half


def pixel_error(image: Tensor, reconstruction: Tensor, kind: str, side: str = "both") -> Tensor:
    """Error at every pixel.

    Parameters
    ----------
    image, reconstruction : float32 [n, 3, h, w], 0–1
    kind : "l2" (squared), "l1" (absolute), "ssim" (1 − structural similarity, halved) or "flat"
        The last is the absolute error times 1 / (1 + (c / 0.1)²), the edge-stopping weight of Perona & Malik
        (1990, eq. 13), with c the reconstruction's largest less smallest value in 5×5 pixels: an edge a
        pixel off is no fault, a spot where all should be even is one.
    side : "both", or "darker" or "brighter" for pixels that are so than their reconstruction
        Not of "ssim".

    Returns
    -------
    float32 [n, h, w]
        The mean over channels; 0 where both are equal, 1 at most.
    """
    if kind == "ssim":
        return (1 - ssim(image, reconstruction)).mean(1) / 2
    difference = image - reconstruction
    if side == "both":
        difference = difference.abs()
    else:
        difference = (difference if side == "brighter" else -difference).clamp(min=0)
    if kind == "l2":
        return (difference**2).mean(1)
    if kind == "l1":
        return difference.mean(1)
    return (difference / (1 + (_contrast(reconstruction) / _EDGE) ** 2)).mean(1)


def _contrast(x: Tensor) -> Tensor:
    """Largest less smallest value around every pixel, [n, c, h, w]: unlike a deviation, without rounding."""
    half = _NEAR // 2
    return F.max_pool2d(x, _NEAR, 1, half) + F.max_pool2d(-x, _NEAR, 1, half)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity at every pixel (Wang et al. 2004, eq. 13), uniform window of 11 pixels.

    Parameters
    ----------
    x, y : float32 [n, c, h, w], 0–1, h and w above 5

    Returns
    -------
    float32 [n, c, h, w], −1–1
    """

    def mean(values: Tensor) -> Tensor:
        half = _WINDOW // 2
        return F.avg_pool2d(F.pad(values, (half, half, half, half), mode="reflect"), _WINDOW, stride=1)

    # around the middle of the values, or float32 loses in small differences of squares what C2 can see
    middle = (x.amax((2, 3), keepdim=True) + x.amin((2, 3), keepdim=True)) / 2
    a, b = x - middle, y - middle
    ma, mb = mean(a), mean(b)
    vx, vy, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    mx, my = ma + middle, mb + middle
    top = (2 * mx * my + _C1) * (2 * both + _C2)
    return top / ((mx * mx + my * my + _C1) * (vx + vy + _C2))


class Smooth(nn.Module):
    """Gaussian smoothing, and enlargement, of maps [n, h, w] by two matrix products (`MapMaker`)."""

    rows: Tensor
    columns: Tensor

    def __init__(self, grid: tuple[int, int], size: tuple[int, int], sigma: float) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(enlarging_matrix(grid[0], size[0], sigma)))
        columns = torch.from_numpy(enlarging_matrix(grid[1], size[1], sigma)).T.contiguous()
        self.register_buffer("columns", columns)

    def forward(self, maps: Tensor) -> Tensor:
        smooth: Tensor = self.rows @ maps @ self.columns
        return smooth

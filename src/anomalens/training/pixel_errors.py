"""How an image differs from its reconstruction, pixel by pixel: L1, L2, SSIM; and smoothing of maps."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.images.enlarging import enlarging_matrix

ERRORS: Final = ("l2", "l1", "ssim")
_WINDOW: Final = 11  # pixels, as in Wang et al. 2004
_C1, _C2 = 0.01**2, 0.03**2  # their constants, for values 0–1


def pixel_error(image: Tensor, reconstruction: Tensor, kind: str) -> Tensor:
    """Error at every pixel.

    Parameters
    ----------
    image, reconstruction : float32 [n, 3, h, w], 0–1
    kind : "l2" (squared), "l1" (absolute) or "ssim" (1 − structural similarity, halved)

    Returns
    -------
    float32 [n, h, w]
        The mean over channels; 0 where both are equal, 1 at most.
    """
    if kind == "l2":
        return ((image - reconstruction) ** 2).mean(1)
    if kind == "l1":
        return (image - reconstruction).abs().mean(1)
    return (1 - ssim(image, reconstruction)).mean(1) / 2


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

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
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

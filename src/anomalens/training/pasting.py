"""Rectangles of an image pasted elsewhere into it: CutPaste and its scar (Li et al. 2021, section 2.2)."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

# of the image's area, and of its side: the paper's 2 to 16 and 10 to 25 pixels of 256
_AREA: Final = (0.02, 0.15)
_ASPECT: Final = 0.3  # to 1, and the other way round
_SCAR_WIDTH: Final = (2 / 256, 16 / 256)
_SCAR_LENGTH: Final = (10 / 256, 25 / 256)
_LEAST: Final = 1.5  # pixels: narrower scars would lie between two
_JITTER: Final = 0.1  # of brightness, contrast and saturation
_TILT: Final = math.pi / 4


def cut_paste(images: Tensor) -> Tensor:
    """[n, 3, h, w] with an upright rectangle of 2 to 15 % of the area copied to another place."""
    n, _, height, width = images.shape
    area = _between(n, *_AREA, images) * height * width
    aspect = torch.exp(_between(n, math.log(_ASPECT), 0, images))
    aspect = torch.where(torch.rand(n, device=images.device) < 0.5, aspect, 1 / aspect)
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1)
    return pasted(images, sides, torch.zeros(n, device=images.device))


def scar(images: Tensor) -> Tensor:
    """[n, 3, h, w] with a long thin rectangle copied to another place, tilted by up to 45 degrees."""
    n, _, height, width = images.shape
    side = min(height, width)
    wide = (_between(n, *_SCAR_WIDTH, images) * side).clamp_min(_LEAST)
    long = (_between(n, *_SCAR_LENGTH, images) * side).clamp_min(2 * _LEAST)
    return pasted(images, torch.stack([long, wide], 1), _between(n, -_TILT, _TILT, images))


def pasted(images: Tensor, sides: Tensor, angles: Tensor) -> Tensor:
    """Copy a rectangle of each image to a random place of the same image, in slightly other colours.

    Parameters
    ----------
    images : float32 [n, 3, h, w], 0–1
    sides : float32 [n, 2]
        Height and width of the rectangles in pixels; larger ones than the image are cut.
    angles : float32 [n]
        By which they are turned where they are pasted, in radians.
    """
    n, _, height, width = images.shape
    limits = torch.tensor([height, width], device=images.device, dtype=images.dtype)
    half = torch.minimum(sides, limits - 1) / 2
    draw = torch.rand(2, n, 2, device=images.device)
    source, target = half + draw * (limits - 2 * half)  # [n, 2] each: centres, rectangles inside
    y = torch.arange(height, device=images.device) + 0.5
    x = torch.arange(width, device=images.device) + 0.5
    down = (y[None, :, None] - target[:, 0, None, None]).expand(n, height, width)
    right = (x[None, None, :] - target[:, 1, None, None]).expand(n, height, width)
    cos, sin = torch.cos(angles)[:, None, None], torch.sin(angles)[:, None, None]
    along, across = cos * down - sin * right, sin * down + cos * right
    inside = (along.abs() <= half[:, 0, None, None]) & (across.abs() <= half[:, 1, None, None])
    from_y = (along + source[:, 0, None, None]) * 2 / height - 1
    from_x = (across + source[:, 1, None, None]) * 2 / width - 1
    moved = F.grid_sample(
        images, torch.stack([from_x, from_y], 3), padding_mode="border", align_corners=False
    )
    return torch.where(inside[:, None], _other_colours(moved), images)


def _other_colours(images: Tensor) -> Tensor:
    """Brightness, contrast and saturation by up to a tenth; grey images stay grey."""
    brightness, contrast, saturation = (
        _between(len(images), 1 - _JITTER, 1 + _JITTER, images)[:, None, None, None] for _ in range(3)
    )
    images = images * brightness
    middle = images.mean((1, 2, 3), keepdim=True)
    images = middle + (images - middle) * contrast
    grey = images.mean(1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp(0, 1)


def _between(n: int, low: float, high: float, like: Tensor) -> Tensor:
    return low + (high - low) * torch.rand(n, device=like.device)

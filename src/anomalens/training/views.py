"""Images turned by quarters, mirrored and shifted: operations that a graph can hold as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

# kind of change -> how many there are of it; "shift" is told as two
CHOICES: Final = {"turn": 4, "down": 3, "right": 3, "mirror": 2}
KINDS: Final = {"rotate": ("turn",), "shift": ("down", "right"), "flip": ("mirror",)}


@dataclass(frozen=True)
class View:
    """Quarter turns, mirrored or not, and steps down and right (0: none, 1: back, 2: on)."""

    turn: int = 0
    mirror: int = 0
    down: int = 0
    right: int = 0


def views_of(heads: tuple[str, ...]) -> list[View]:
    """All combinations of what the heads tell; the unchanged image first."""
    found = [View()]
    for head in heads:
        found = [View(**{**vars(view), head: choice}) for view in found for choice in range(CHOICES[head])]
    return found


def turned(images: Tensor, turn: int, mirror: int) -> Tensor:
    """Square images [n, c, s, s] mirrored, then turned anticlockwise by quarters."""
    if mirror:
        images = images.flip(3)
    if turn == 1:
        return images.transpose(2, 3).flip(2)
    if turn == 2:
        return images.flip(2).flip(3)
    if turn == 3:
        return images.transpose(2, 3).flip(3)
    return images


def shifted(images: Tensor, view: View) -> Tensor:
    """Square images [n, c, s, s] moved by a quarter of their side over a mirrored border."""
    if not (view.down or view.right):
        return images
    side = images.shape[2]
    step = side // 4
    top, left = step - _steps(view.down) * step, step - _steps(view.right) * step
    wide = F.pad(images, (step, step, step, step), mode="reflect")
    return wide[:, :, top : top + side, left : left + side]


def shifted_each(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """As `shifted`, each image by choices of its own, int64 [n]."""
    side = images.shape[2]
    step = side // 4
    wide = F.pad(images, (step, step, step, step), mode="reflect")
    move = torch.tensor([0, -1, 1], device=images.device)
    along = torch.arange(side, device=images.device)
    rows = along + (step - move[down] * step)[:, None]
    columns = along + (step - move[right] * step)[:, None]
    each = torch.arange(len(images), device=images.device)[:, None, None]
    return wide[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _steps(choice: int) -> int:
    return (0, -1, 1)[choice]


class Square(nn.Module):
    """Images [n, c, h, w] → [n, c, side, side], each pixel the mean of the area that it covers."""

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], side: int) -> None:
        super().__init__()
        self.side = side
        self.same = size == (side, side)
        self.register_buffer("rows", torch.from_numpy(_areas(size[0], side)))
        self.register_buffer("columns", torch.from_numpy(_areas(size[1], side).T.copy()))

    def forward(self, images: Tensor) -> Tensor:
        return images if self.same else self.rows @ images @ self.columns


def _areas(pixels: int, cells: int) -> NDArray[np.float32]:
    """[cells, pixels]: the share of each cell that each pixel covers; rows sum to 1."""
    edges = np.arange(cells + 1)[:, None] * pixels / cells
    places = np.arange(pixels)
    covered = np.clip(np.minimum(edges[1:], places + 1) - np.maximum(edges[:-1], places), 0, None)
    return np.asarray(covered * cells / pixels, np.float32)

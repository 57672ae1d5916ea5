"""A small residual network, image → features (Zagoruyko & Komodakis 2016: wide, pre-activated, shallow)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, each after batch norm and ReLU, beside a shortcut."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
        )
        same = before == channels and stride == 1
        self.shortcut = None if same else nn.Conv2d(before, channels, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        ready = self.first(maps)
        beside = maps if self.shortcut is None else self.shortcut(ready)
        total: Tensor = self.body(ready) + beside
        return total


class ResidualFeatures(nn.Sequential):
    """float32 [n, 3, h, w] → features [n, `dimensions`], averaged over the last map.

    Parameters
    ----------
    width : int
        Channels of the first group of blocks; every further group has twice as many.
    strides : sequence of int
        One block each. Before them a 3×3 convolution halves the image.
    """

    def __init__(self, *, width: int, strides: Sequence[int]) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False)]
        before = width
        for level, stride in enumerate(strides):
            layers.append(ResidualBlock(before, width * 2**level, stride))
            before = width * 2**level
        super().__init__(*layers, nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dimensions = before

"""Maps of several taps as one map on the finest grid, inside the trained module's graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.training.channel_scale import ChannelScale, Maps
from anomalens.training.split import Rows


class Embedding(nn.Module):
    """Taps [n, c, h, w] → locally averaged features of all taps [n, C, H, W] on the finest grid.

    Parameters
    ----------
    features : sequence of float16 [m, c, h, w]
    rows : int64
        Images that give the channels' scale.
    neighbourhood : int
        Side of the averaging window, odd; what lies outside counts as zero, as for patches.
    """

    def __init__(self, features: Sequence[Maps], rows: Rows, *, neighbourhood: int) -> None:
        super().__init__()
        grids = [(values.shape[2], values.shape[3]) for values in features]
        self.grid = max(grids, key=lambda grid: grid[0] * grid[1])
        self.scales = nn.ModuleList(ChannelScale(values, rows) for values in features)
        self.average = nn.AvgPool2d(neighbourhood, 1, neighbourhood // 2)
        self.channels = sum(values.shape[1] for values in features)

    def forward(self, *features: Tensor) -> Tensor:
        pieces = []
        for values, scale in zip(features, self.scales, strict=True):
            piece = self.average(scale(values))
            if tuple(values.shape[2:]) != self.grid:
                piece = F.interpolate(piece, size=self.grid, mode="bilinear", align_corners=False)
            pieces.append(piece)
        return torch.cat(pieces, 1)

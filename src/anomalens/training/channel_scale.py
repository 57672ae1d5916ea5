"""Features at one scale, learnt from the training images: each channel centred, of deviation 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anomalens.training.split import Rows

_BLOCK: Final = 64  # images at once
_LEAST: Final = 1e-3  # of the typical size of a feature: what hardly varies is not blown up

Maps = NDArray[np.float16]  # [m, c, h, w]


class ChannelScale(nn.Module):
    """Maps [n, c, h, w] → the same, each channel of mean 0 and deviation 1.

    Parameters
    ----------
    features : float16 [m, c, h, w]
    rows : int64
        Which of them are learnt from.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: Maps, rows: Rows) -> None:
        super().__init__()
        mean, deviation = _moments(features, rows)
        size = float(np.sqrt((mean**2 + deviation**2).mean()))
        deviation = np.maximum(deviation, max(_LEAST * size, 1e-6))
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32))[:, None, None])
        self.register_buffer("deviation", torch.from_numpy(deviation.astype(np.float32))[:, None, None])

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


def _moments(features: Maps, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation [c] of the channels over all positions."""
    count = len(rows) * features[0, 0].size
    mean = np.zeros(features.shape[1])
    for block in _blocks(features, rows):
        mean += block.sum((0, 2, 3), dtype=np.float64) / count
    variance = np.zeros_like(mean)
    for block in _blocks(features, rows):
        centred = block - mean.astype(np.float32)[:, None, None]
        variance += (centred * centred).sum((0, 2, 3), dtype=np.float64) / count
    return mean, np.sqrt(variance)


def _blocks(features: Maps, rows: Rows) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(rows), _BLOCK):
        yield features[rows[start : start + _BLOCK]].astype(np.float32)

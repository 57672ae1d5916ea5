"""A Gaussian on features, as a module that a graph can hold."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

# Smaller variances count as these shares of the largest and of the features' mean square: they would magnify
# the rounding of float32, by which runtimes differ.
_OF_LARGEST: Final = 1e-3
_OF_SQUARE: Final = 1e-4


class GaussianDensity(nn.Module):
    """Features [n, d] → minus the log-density of the whitened features, over d: (|w|² / d + log 2π) / 2, [n].

    Parameters
    ----------
    features : float [n, d]
        Normal images' features. The covariance that whitens them is shrunk (Ledoit & Wolf 2004).
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, features: NDArray[np.float32]) -> None:
        super().__init__()
        values = features.astype(np.float64)
        mean, d = values.mean(0), values.shape[1]
        covariance = ledoit_wolf(values)[0] if len(values) > 1 else np.zeros((d, d))
        variances, axes = np.linalg.eigh(covariance)
        least = max(_OF_LARGEST * variances[-1], _OF_SQUARE * float((values**2).mean()), 1e-12)
        whitening = axes / np.sqrt(np.maximum(variances, least) * d)
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("whitening", torch.from_numpy(whitening.astype(np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        squared: Tensor = (((features - self.mean) @ self.whitening) ** 2).sum(1)
        return (squared + math.log(2 * math.pi)) / 2

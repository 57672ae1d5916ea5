"""Gaussians of patch features with a mean at every position and one covariance for all of them.

On a surface the features scatter alike everywhere, and one covariance of all positions is learnt a thousand
times better than one for each. The means still follow what depends on the place, such as light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.position_gaussians import whitener_of
from anomalens.detectors.patches.views.view import Floats, Grid, View, as_grid

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class SharedGaussians(View):
    """Mahalanobis distances of p positions in all c features.

    Attributes
    ----------
    mean : float32 [p, c]
    whitener : float32 [c, c]
        |(x − mean) W| is the Mahalanobis distance.
    """

    mean: Floats
    whitener: Floats

    def distances(self, x: NDArray[Any]) -> Floats:
        """Mahalanobis distance of each position's features [p, c]: float32 [p]."""
        white = (x.astype(np.float32) - self.mean) @ self.whitener
        return np.asarray(np.sqrt(np.einsum("pc,pc->p", white, white)), np.float32)

    def append(self, graph: Graph, source: str, name: str, grid: Grid) -> str:
        """Add the same as nodes."""
        rows = graph.add("Reshape", [source, list(self.mean.shape)], f"{name}/patches")
        centred = graph.add("Sub", [rows, self.mean], f"{name}/centred")
        white = graph.add("MatMul", [centred, self.whitener], f"{name}/white")
        squared = graph.squared_norms(white, len(self.whitener), f"{name}/norm")
        return as_grid(graph, squared, name, grid)


class SharedMoments:
    """Sums over the images, from which any fold can be left out. Nothing of an image is kept.

    Memory: 8 bytes a position and feature for each fold.
    """

    def __init__(self, folds: int) -> None:
        self._counts = np.zeros(folds, np.int64)
        self._sums: Doubles | None = None
        self._products: Doubles | None = None

    def add(self, x: Floats, fold: int) -> None:
        """Take the features [p, c] of one image."""
        if self._sums is None or self._products is None:
            self._shift = x.mean(0)  # products of small numbers keep their digits
            self._sums = np.zeros((len(self._counts), *x.shape))
            self._products = np.zeros((x.shape[1], x.shape[1]))
        x = x - self._shift
        self._counts[fold] += 1
        self._sums[fold] += x
        self._products += x.T @ x

    def gaussians(self, without: int | None = None) -> SharedGaussians:
        """The model of all images, or with the means of those that are not in one fold.

        The covariance is of all images either way: of a million residuals, a fold's do not matter.
        """
        assert self._sums is not None and self._products is not None
        n, total = int(self._counts.sum()), self._sums.sum(0)
        mean = total / n
        scatter = self._products - n * (mean.T @ mean)
        covariance = scatter / (len(mean) * max(1, n - 1))
        white = whitener_of(covariance, mean + self._shift)
        if without is not None and self._counts[without] < n:
            mean = (total - self._sums[without]) / (n - self._counts[without])
        return SharedGaussians((mean + self._shift).astype(np.float32), white)

"""The context view of `auto`: the image as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.density.gaussian import GaussianHead
from anomalens.detectors.features.covariance import moments, shrunk, whitener
from anomalens.detectors.features.space import FeatureSpace
from anomalens.progress import Progress

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """Mahalanobis distance of the whole image's pooled features."""

    space: FeatureSpace
    head: GaussianHead

    @classmethod
    def learn(cls, x: Floats) -> Context:
        """From features [n, d] of normal images."""
        space = FeatureSpace.learn(x, scaling="standardise", components=0)
        z = space.apply(x)
        mean, _ = moments(z)
        covariance = shrunk(z, mean, "ledoit-wolf")
        try:  # ten times faster than by eigenvectors, and the shrunk matrix nearly always allows it
            white = np.linalg.inv(np.linalg.cholesky(covariance)).T
        except np.linalg.LinAlgError:
            white = whitener(covariance)
        # what scores from now on is what the state rebuilds: float32, row by row, equal bit for bit
        return cls.from_arrays(cls(space, GaussianHead(mean, white)).arrays())

    def score(self, x: Floats) -> float:
        """The distance of one image's features [d]."""
        return float(self.head.scores(self.space.apply(x[None]))[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the state."""
        found = {**self.space.arrays(), **self.head.arrays()}
        return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Context:
        """Rebuild; ValueError or KeyError where the arrays do not fit."""
        space = FeatureSpace.from_arrays(arrays)
        head = GaussianHead(
            *(np.asarray(arrays[name], np.float64) for name in ("head_mean", "head_whitener"))
        )
        head.scores(space.apply(space.mean[None]))
        return cls(space, head)


def left_out_context(x: Floats, folds: NDArray[np.int64], progress: Progress) -> NDArray[np.float64]:
    """Each image's distance under a model that left its fold out: float64 [n]."""
    scores = np.full(len(x), np.nan)
    count = int(folds.max()) + 1
    for fold in progress(range(count), label="calibrating", total=count):
        held = folds == fold
        if held.all():
            break
        model = Context.learn(x[~held])
        scores[held] = model.head.scores(model.space.apply(x[held]))
    return scores

"""Mahalanobis distance to the nearest class: Lee et al. 2018 (arXiv:1807.03888).

The paper adds distances in earlier layers, weighted on outliers, and a step along a gradient. Both are left
out: no outliers are there to weigh with, and the graph runs forward only. The covariance is shrunk as by
Ledoit and Wolf (2004), so that fewer images than features, or one image of a class, are no hindrance.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs
from anomalens.detectors.features.covariance import shrunk, whitener


class Mahalanobis(OodScore):
    """s(x) = min_k (f − μ_k)ᵀ Σ⁻¹ (f − μ_k), with the class means μ and one covariance Σ of all classes.

    A class without a training image has no mean and cannot be the nearest.
    """

    name: ClassVar[str] = "mahalanobis"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        return cls(last, within_classes(outputs, labels))

    @cached_property
    def _whitening(self) -> NDArray[np.float64]:
        wide: NDArray[np.float64] = self.arrays["whitening"].astype(np.float64)
        return wide

    @cached_property
    def _means(self) -> NDArray[np.float64]:
        whitened: NDArray[np.float64] = self.arrays["means"] @ self._whitening
        return whitened

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        white = (outputs.features.astype(np.float64) - self.arrays["center"]) @ self._whitening
        return nearest_squared(white, self._means)


def nearest_squared(points: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances [n] of points [n, d] to the nearest of some means [k, d]."""
    least = np.full(len(points), np.inf)
    for mean in means:  # differences first: squares of large numbers would lose what differs
        least = np.minimum(least, ((points - mean) ** 2).sum(axis=1))
    return least


def within_classes(outputs: Outputs, labels: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What both distances learn.

    Returns
    -------
    dict
        `center` float64 [d], the mean of all; `whitening` float32 [d, d], W with W Wᵀ = Σ⁻¹; `means`
        float64 [k, d], of each class that is there, minus the center.
    """
    features = outputs.features.astype(np.float64)
    center = features.mean(axis=0)
    classes, places = np.unique(labels, return_inverse=True)
    means = np.stack([features[places == k].mean(axis=0) for k in range(len(classes))])
    rest = (features - means[places]).astype(np.float32)
    whitening = whitener(shrunk(rest, np.zeros(rest.shape[1]), "ledoit-wolf"))
    return {"center": center, "whitening": whitening.astype(np.float32), "means": means - center}

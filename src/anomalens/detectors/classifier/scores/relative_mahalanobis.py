"""Relative Mahalanobis: Ren et al. 2021, "A Simple Fix to Mahalanobis Distance" (arXiv:2106.09022)."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs
from anomalens.detectors.classifier.scores.mahalanobis import nearest_squared, within_classes


class RelativeMahalanobis(OodScore):
    """s(x) = min_k (f − μ_k)ᵀ Σ⁻¹ (f − μ_k) − (f − μ₀)ᵀ Σ₀⁻¹ (f − μ₀).

    The distance to the nearest class, minus that to all images as one Gaussian (μ₀, Σ₀). Σ₀ is the shrunk Σ
    of `mahalanobis` plus the covariance of the class means, as without shrinkage it would be: two covariances
    shrunk apart, from few images, differ by more than the classes. What lies across all class means then
    cancels, so that the features are only kept along these, whitened.
    """

    name: ClassVar[str] = "relative-mahalanobis"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        arrays = within_classes(outputs, labels)
        whitening = arrays["whitening"].astype(np.float64)
        means = arrays["means"] @ whitening
        shares = np.unique(labels, return_counts=True)[1] / len(labels)
        _, lengths, axes = np.linalg.svd(np.sqrt(shares)[:, None] * means, full_matrices=False)
        return cls(
            last,
            {
                "center": arrays["center"],
                "axes": whitening @ axes.T,
                "means": means @ axes.T,
                "between": lengths**2,  # of whitened features, so that Σ₀ is 1 + this along each axis
            },
        )

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        z = (outputs.features.astype(np.float64) - self.arrays["center"]) @ self.arrays["axes"]
        nearest = nearest_squared(z, self.arrays["means"])
        score: NDArray[np.float64] = nearest - (z**2 / (1 + self.arrays["between"])).sum(axis=1)
        return score

"""Gaussian: the Mahalanobis distance of an image's features from the mean of the normal images.

    s(x) = sqrt((x − μ)ᵀ Σ⁻¹ (x − μ)),   Σ = (1 − ρ) S + ρ (tr S / d) I

S is the covariance of the normal images, and the shrinkage ρ is that of Ledoit and Wolf (2004) or the
oracle-approximating one of Chen et al. (2010); with fewer images than features S alone has no inverse.
On deep features: Rippel et al. 2021, "Modeling the Distribution of Normal Data in Pre-Trained Deep
Features for Anomaly Detection" (arXiv:2005.14140).

When it fails. Normal images of several kinds are no one cloud: what lies between the kinds looks normal
(`gmm`, `knn`). Very few images say little about the covariance.

Memory. Sums over blocks of 4096 images in float64, and three matrices d × d: 22 MB at d = 944.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.features.covariance import SHRINKAGES, moments, shrunk, whitener
from anomalens.detectors.features.extractor import FeatureSettings, check_choice
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianSettings(FeatureSettings):
    """Parameters of the Gaussian."""

    shrinkage: str = parameter("ledoit-wolf", "of the covariance: ledoit-wolf, oas or none")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("shrinkage", self.shrinkage, SHRINKAGES)


class GaussianHead:
    """score = |(z − mean) · whitener|"""

    def __init__(self, mean: Doubles, whitener: Doubles) -> None:
        if mean.ndim != 1 or whitener.shape != (len(mean), len(mean)):
            raise ValueError("the whitening matrix does not fit the mean")
        self._mean, self._whitener = mean, whitener

    def scores(self, z: Floats) -> Doubles:
        white = (z - self._mean) @ self._whitener
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", white, white)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_mean": self._mean, "head_whitener": self._whitener}

    def numbers(self) -> dict[str, Any]:
        return {}


class Gaussian(ImageLevelDetector):
    """Mahalanobis distance with a shrunk covariance."""

    name: ClassVar[str] = "gaussian"
    family: ClassVar[str] = "density"
    settings_type: ClassVar[type[Settings]] = GaussianSettings
    settings: GaussianSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> GaussianHead:
        mean, _ = moments(z)
        return GaussianHead(mean, whitener(shrunk(z, mean, self.settings.shrinkage)))

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> GaussianHead:
        return GaussianHead(
            np.asarray(arrays["head_mean"], np.float64), np.asarray(arrays["head_whitener"], np.float64)
        )

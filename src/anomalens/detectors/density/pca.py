"""PCA: what of an image's features the principal axes of the normal images cannot reproduce.

    s(x) = |x − μ − V Vᵀ (x − μ)|

V holds the leading principal axes, as many as explain a given share of the variance (Shyu et al. 2003;
on deep features Ndiour et al. 2020, arXiv:2012.04250, the feature reconstruction error).

When it fails. Extremes along the kept axes look normal. A share near 1 leaves only noise to judge by;
with few images the axes span the training images and nothing else.

Memory. One d × d matrix, or n × n for fewer images than features; sums over blocks of 4096 images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.features.covariance import moments, principal_axes
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job


@dataclass(frozen=True)
class PcaSettings(FeatureSettings):
    """Parameters of PCA."""

    variance: float = parameter(0.95, "share of the variance that the axes explain", limits=(0.01, 0.9999))

    @property
    def kept_components(self) -> int:
        """All components, with pixels too: what the first few leave out is the score."""
        return self.components


class PcaHead:
    """The length of what is left when the projection on the axes [k, q] is taken away."""

    def __init__(self, mean: NDArray[np.float64], axes: NDArray[np.float64]) -> None:
        if mean.ndim != 1 or axes.ndim != 2 or len(axes) != len(mean):
            raise ValueError("the principal axes do not fit the mean")
        self._mean, self._axes = mean, axes

    def scores(self, z: Floats) -> NDArray[np.float64]:
        centred = z - self._mean
        rest = centred - (centred @ self._axes) @ self._axes.T
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", rest, rest)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_mean": self._mean, "head_axes": self._axes}

    def numbers(self) -> dict[str, Any]:
        return {}


class Pca(ImageLevelDetector):
    """Reconstruction error of the features from their principal axes."""

    name: ClassVar[str] = "pca"
    family: ClassVar[str] = "density"
    settings_type: ClassVar[type[Settings]] = PcaSettings
    settings: PcaSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> PcaHead:
        mean, deviation = moments(z)
        total = float((deviation**2).sum())
        axes, values = principal_axes(z, min(z.shape))
        enough = int(np.searchsorted(np.cumsum(values), self.settings.variance * total)) + 1
        # an axis is no axis where nothing varies, and without a rest there is nothing to judge by
        enough = min(enough, z.shape[1] - 1) if total > 0 else 0
        return PcaHead(mean, np.ascontiguousarray(axes[:, :enough]))

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> PcaHead:
        return PcaHead(
            np.asarray(arrays["head_mean"], np.float64), np.asarray(arrays["head_axes"], np.float64)
        )

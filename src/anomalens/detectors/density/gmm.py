"""Gaussian mixture: minus the log-likelihood under a few Gaussians.

    s(x) = −log Σ_k π_k N(x; μ_k, Σ_k)

Fitted by expectation maximisation (Dempster et al. 1977) on the leading principal components, with full
covariances. How many Gaussians: the lowest Bayesian information criterion (Schwarz 1978) of 1, 2, 4, 8.

When it fails. Anything that shows only outside the principal components is not seen. The number of
parameters grows with the square of the components: fewer of them for few images.

Memory. Fitted on at most 20,000 images, a random choice of more: 21 MB of float64 at 128 components.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.density.neighbours import some_rows
from anomalens.detectors.features.covariance import covariance, moments
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

Doubles = NDArray[np.float64]

COUNTS: Final = (1, 2, 4, 8)
MAX_VECTORS: Final = 20_000
SELECTION: Final = 2000  # vectors that the number of Gaussians is chosen on
_PER_GAUSSIAN: Final = 10  # images that a Gaussian needs at least
# Added to each variance, as a share of the mean one: keeps covariances of few images invertible.
_RIDGE: Final = 1e-2


@dataclass(frozen=True)
class GmmSettings(FeatureSettings):
    """Parameters of the Gaussian mixture."""

    components: int = parameter(128, "principal components that are kept", limits=(1, 512))
    n_components: int = parameter(
        0, "Gaussians in the mixture; 0: by the lowest BIC of 1, 2, 4, 8", limits=(0, 64)
    )


class GmmHead:
    """Weights [k], means [k, d] and factors [k, d, d] with factor · factorᵀ = Σ⁻¹."""

    def __init__(self, weights: Doubles, means: Doubles, factors: Doubles) -> None:
        k, d = means.shape
        if weights.shape != (k,) or factors.shape != (k, d, d) or not (weights > 0).all():
            raise ValueError("the mixture's weights, means and factors do not fit")
        self._weights, self._means, self._factors = weights, means, factors
        halves = np.log(np.abs(np.diagonal(factors, axis1=1, axis2=2))).sum(1)
        self._constants = np.log(weights) + halves - d / 2 * np.log(2 * np.pi)

    def scores(self, z: Floats) -> Doubles:
        logs = np.empty((len(z), len(self._weights)))
        for k, (mean, factor) in enumerate(zip(self._means, self._factors, strict=True)):
            white = (z - mean) @ factor
            logs[:, k] = self._constants[k] - np.einsum("ij,ij->i", white, white) / 2
        top = logs.max(1)
        return np.asarray(-top - np.log(np.exp(logs - top[:, None]).sum(1)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_weights": self._weights, "head_means": self._means, "head_factors": self._factors}

    def numbers(self) -> dict[str, Any]:
        return {}


class Gmm(ImageLevelDetector):
    """Minus the log-likelihood under a mixture of Gaussians."""

    name: ClassVar[str] = "gmm"
    family: ClassVar[str] = "density"
    settings_type: ClassVar[type[Settings]] = GmmSettings
    settings: GmmSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> GmmHead:
        z = z[some_rows(len(z), MAX_VECTORS, job.seed)]
        few = z[some_rows(len(z), SELECTION, job.seed)]
        most = max(1, len(z) // _PER_GAUSSIAN)
        count = self.settings.n_components
        if not count:
            count, lowest = 1, _bic(few, 1, job.seed)
            for more in COUNTS[1:]:
                found = _bic(few, more, job.seed) if more <= most else lowest
                if found >= lowest:  # more Gaussians only cost more
                    break
                count, lowest = more, found
        return _fitted(z, min(count, most), job.seed)

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> GmmHead:
        names = ("head_weights", "head_means", "head_factors")
        return GmmHead(*(np.asarray(arrays[name], np.float64) for name in names))


def _bic(x: Floats, count: int, seed: int) -> float:
    n, d = x.shape
    free = count * (d + d * (d + 1) / 2) + count - 1
    return float(2 * _fitted(x, count, seed).scores(x).sum() + free * np.log(n))


def _fitted(x: Floats, count: int, seed: int) -> GmmHead:
    mean, deviation = moments(x)
    # where nothing varies, any ridge will do
    ridge = _RIDGE * (float((deviation**2).mean()) or 1.0)
    if count == 1:  # in closed form; scikit-learn's needs two images
        s = covariance(x, mean) + ridge * np.eye(x.shape[1])
        factor = np.linalg.inv(np.linalg.cholesky(s)).T
        return GmmHead(np.ones(1), mean[None], factor[None])
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(count, reg_covar=ridge, max_iter=50, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # copies make fewer clusters than asked for, and 50 steps are near enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(x.astype(np.float64))
    return GmmHead(mixture.weights_, mixture.means_, mixture.precisions_cholesky_)

"""Texems: a Gaussian mixture of the patches of normal images at one scale."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

# Added to each variance of standardised features: keeps covariances invertible.
_RIDGE: Final = 1e-2
_PER_TEXEM: Final = 50  # patches that a texem needs at least
_STEPS: Final = 50  # of expectation maximisation

Floats = NDArray[np.float32]


class Texems:
    """Mean and covariance of each texem, in standardised features.

    Parameters
    ----------
    middle, scale : float32 [d]
        Standardisation.
    means : float32 [k, d]
    factors : float32 [k, d, d]
        Factors of the inverse covariances: factor · factorᵀ = Σ⁻¹.
    weights : float32 [k]
    """

    def __init__(
        self, middle: Floats, scale: Floats, means: Floats, factors: Floats, weights: Floats
    ) -> None:
        k, d = means.shape
        fits = middle.shape == scale.shape == (d,) and factors.shape == (k, d, d) and weights.shape == (k,)
        diagonals = np.diagonal(factors, axis1=1, axis2=2) if factors.ndim == 3 else factors
        if not (fits and (scale > 0).all() and (weights > 0).all() and (diagonals > 0).all()):
            raise ValueError("the texems' means, covariances and weights do not fit")
        self._parts = {
            "middle": middle, "scale": scale, "means": means, "factors": factors, "weights": weights
        }  # fmt: skip
        constants = np.log(weights) + np.log(diagonals).sum(1) - d / 2 * np.log(2 * np.pi)
        self._constants = constants.astype(np.float32)
        # One product for all texems: (x − m) F = x F − m F.
        self._factors = np.ascontiguousarray(factors.transpose(1, 0, 2).reshape(d, k * d))
        self._offsets = np.einsum("kd,kde->ke", means, factors).reshape(k * d)

    @classmethod
    def learn(cls, features: Floats, *, count: int, seed: int) -> Self:
        """By expectation maximisation from patches' features [n, d]."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        x = features.astype(np.float64)
        middle, scale = x.mean(0), x.std(0)
        scale = np.where(scale > 1e-6 * (np.abs(middle) + 1), scale, 1.0)
        x = (x - middle) / scale
        count = max(1, min(count, len(x) // _PER_TEXEM, len(np.unique(x, axis=0))))
        mixture = GaussianMixture(
            count, reg_covar=_RIDGE, max_iter=_STEPS, init_params="k-means++", random_state=seed % 2**32
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 50 steps are near enough
            mixture.fit(x if len(x) > 1 else np.repeat(x, 2, axis=0))
        kept = mixture.weights_ > 1e-9
        parts = (
            middle, scale, mixture.means_[kept], mixture.precisions_cholesky_[kept], mixture.weights_[kept]
        )  # fmt: skip
        return cls(*(np.ascontiguousarray(part, np.float32) for part in parts))

    def surprise(self, features: Floats) -> Floats:
        """Minus the log-likelihood [n] of features [n, d]."""
        z = (features - self._parts["middle"]) / self._parts["scale"]
        white = (z @ self._factors - self._offsets).reshape(len(z), len(self._constants), -1)
        logs = self._constants - np.einsum("nkd,nkd->nk", white, white) / 2
        top = logs.max(1)
        return np.asarray(-top - np.log(np.exp(logs - top[:, None]).sum(1)), np.float32)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """For a state, with names that begin with `prefix`."""
        return {f"{prefix}_{name}": part for name, part in self._parts.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Rebuild; nothing about the arrays is trusted."""
        names = ("middle", "scale", "means", "factors", "weights")
        parts = [np.asarray(arrays[f"{prefix}_{name}"], np.float32) for name in names]
        if parts[2].ndim != 2 or not all(np.isfinite(part).all() for part in parts):
            raise ValueError("the texems are no finite numbers")
        return cls(*parts)

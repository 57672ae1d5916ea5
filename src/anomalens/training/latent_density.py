"""Kernel density of an autoencoder's codes, as a module that is part of the scoring graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

if TYPE_CHECKING:
    from anomalens.training.autoencoder import Autoencoder
    from anomalens.training.run import TrainingRun

Doubles = NDArray[np.float64]

SELECTION: Final = 1000  # validation codes that the bandwidth is chosen on, at most
# Candidates as shares of the root mean squared distance between codes.
_SHARES: Final = np.geomspace(0.01, 1.0, 32)
_LEAST: Final = 1e-3  # of the largest deviation: directions that vary less are not magnified further


def scaled(codes: Doubles, scaling: str) -> tuple[Doubles, Doubles]:
    """Mean [k] and matrix [k, k] after which codes [n, k] are compared by plain distances.

    Whitening is by the shrunk covariance (Ledoit & Wolf 2004) of the standardised codes: with no more codes
    than numbers their own has directions without any variance, in which every new image would be far.
    """
    mean = codes.mean(0)
    k = codes.shape[1]
    if scaling == "none":
        return np.zeros(k), np.eye(k)
    if scaling == "standardise":
        deviation = codes.std(0)
        return mean, np.diag(1 / _at_least(deviation))
    deviation = _at_least(codes.std(0))
    standard = (codes - mean) / deviation
    covariance = ledoit_wolf(standard, assume_centered=True)[0] if len(codes) > 1 else np.eye(k)
    values, vectors = np.linalg.eigh(covariance.reshape(k, k))
    return mean, vectors / deviation[:, None] / _at_least(np.sqrt(values.clip(0)))


def _at_least(deviation: Doubles) -> Doubles:
    largest = float(deviation.max())
    return deviation.clip(_LEAST * largest) if largest > 0 else np.ones_like(deviation)


def likeliest_bandwidth(kept: Doubles, fresh: Doubles) -> float:
    """The h whose estimate from `kept` [n, k] gives codes `fresh` [m, k] the highest likelihood.

    Cross-validation by images that the autoencoder has not learnt from: its codes of training images lie
    closer together than those of new ones.
    """
    squared = (fresh**2).sum(1)[:, None] + (kept**2).sum(1)[None] - 2 * fresh @ kept.T
    squared = squared.clip(0)
    scale = math.sqrt(float(squared.mean()))
    if not scale > 1e-4 * (1.0 + float(np.abs(kept).max())):
        return 1.0  # all codes are one: any bandwidth does
    likelihoods = []
    for h in scale * _SHARES:
        exponents = squared / (-2 * h * h)
        top = exponents.max(1)
        inside = np.exp(exponents - top[:, None]).sum(1)
        likelihoods.append(float((top + np.log(inside)).mean()) - kept.shape[1] * math.log(h))
    return float(scale * _SHARES[int(np.argmax(likelihoods))])


class LatentDensity(nn.Module):
    """Codes [n, k] → −log density [n], in nats: −log (1/N) Σᵢ N(W(z − m); W(zᵢ − m), h² I).

    Differences are squared one by one, so that float32 loses nothing to cancellation, and summed as
    logarithms, so that no density becomes 0 far away.

    Parameters
    ----------
    codes : float64 [N, k]
        Normal images' codes, kept.
    mean, matrix : float64 [k], [k, k]
        See `scaled`.
    bandwidth : float
    """

    mean: Tensor
    matrix: Tensor
    kept: Tensor

    def __init__(self, codes: Doubles, mean: Doubles, matrix: Doubles, bandwidth: float) -> None:
        super().__init__()
        kept = (codes - mean) @ matrix / bandwidth
        n, k = kept.shape
        self.constant = math.log(n) + k * math.log(bandwidth) + k / 2 * math.log(2 * math.pi)
        for name, value in (("mean", mean), ("matrix", matrix / bandwidth), ("kept", kept)):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))

    def forward(self, codes: Tensor) -> Tensor:
        placed = (codes - self.mean) @ self.matrix
        squared = ((placed[:, None] - self.kept[None]) ** 2).sum(2)
        # written out, as OpenVINO drops an axis too many of ONNX' own log of a sum of exponentials
        exponents = -squared / 2
        top = exponents.amax(1, keepdim=True)
        value: Tensor = self.constant - top[:, 0] - (exponents - top).exp().sum(1).log()
        return value


class ReconstructionAndDensity(nn.Module):
    """Image → (reconstruction error and −log density [1, 2], smoothed error map [1, h, w]).

    Parameters
    ----------
    scorer : Module
        A `ReconstructionScorer`.
    density : LatentDensity
        How likely its autoencoder's codes are.
    """

    def __init__(self, scorer: nn.Module, density: LatentDensity) -> None:
        super().__init__()
        self.scorer = scorer
        self.density = density

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        score, maps, codes = self.scorer.parts(images)
        return torch.cat([score, self.density(codes)[:, None]], 1), maps


def density_of_codes(
    run: TrainingRun, autoencoder: Autoencoder, *, scaling: str, bandwidth: float, max_codes: int
) -> tuple[LatentDensity, float]:
    """The density of the codes of training images, and its bandwidth.

    Parameters
    ----------
    scaling : "whiten", "standardise" or "none"
    bandwidth : float
        0 for the likeliest of the validation images' codes.
    max_codes : int
        A random choice of more is kept.
    """

    def codes_of(rows: NDArray[np.int64], most: int) -> Doubles:
        if len(rows) > most:
            rows = np.sort(np.random.default_rng([run.job.seed, 2]).choice(rows, most, replace=False))
        codes = run.validation_values(lambda batch: autoencoder.encode(batch).flatten(1), rows=rows)
        return codes.numpy().astype(np.float64)

    kept = codes_of(run.split.train, max_codes)
    mean, matrix = scaled(kept, scaling)
    if not bandwidth:
        fresh = codes_of(run.split.validation, SELECTION)
        bandwidth = likeliest_bandwidth((kept - mean) @ matrix, (fresh - mean) @ matrix)
    return LatentDensity(kept, mean, matrix, bandwidth), bandwidth

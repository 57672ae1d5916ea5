"""A Gaussian of patch features at every position of the grid (PaDiM's model of normality)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.threads import on_all_cores

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

REGULARISATION: Final = 0.01
_POSITIONS: Final = 64  # worked on at a time: 64 × (n × k + k × k) float32
_SAMPLE: Final = 20_000  # patches that the axes are learnt from


@dataclass(frozen=True)
class PositionGaussians:
    """Mahalanobis distances of p positions, in k principal axes of the features.

    Attributes
    ----------
    axes : float32 [c, k]
        Principal axes of all positions' features.
    mean : float32 [p, k]
    whitener : float32 [p, k, k]
        Inverse Cholesky factors: |W (x − mean)| is the Mahalanobis distance.
    """

    axes: Floats
    mean: Floats
    whitener: Floats

    @classmethod
    def fit(
        cls, x: Floats | Halves, axes: Floats, *, regularisation: float = REGULARISATION
    ) -> PositionGaussians:
        """From features [n, p, k] of normal images, already along the axes.

        Covariances are Σ + `regularisation` · I (Defard et al. 2021, eq. 1), which also gives them an
        inverse where there are fewer images than axes.
        """
        n, p, k = x.shape
        mean = np.empty((p, k), np.float32)
        whitener = np.empty((p, k, k), np.float32)
        unit = np.eye(k, dtype=np.float32)

        def learn(block: slice) -> None:
            # position by position in memory: a BLAS takes no other products of stacks
            centred = np.array(x[:, block].transpose(1, 0, 2), np.float32, order="C")
            mean[block] = centred.mean(1)
            centred -= mean[block, None]
            covariance = centred.transpose(0, 2, 1) @ centred / max(1, n - 1) + regularisation * unit
            whitener[block] = np.linalg.inv(np.linalg.cholesky(covariance))

        on_all_cores(learn, _blocks(p))
        return cls(axes, mean, whitener)

    def distances(self, x: Floats | Halves) -> Floats:
        """Of features [n, p, k] along the axes: float32 [n, p]."""
        found = np.empty(x.shape[:2], np.float32)

        def measure(block: slice) -> None:
            centred = np.array(x[:, block].transpose(1, 0, 2), np.float32, order="C")
            centred -= self.mean[block, None]
            white = centred @ self.whitener[block].transpose(0, 2, 1)  # [positions, n, k]
            found[:, block] = np.sqrt(np.einsum("pnk,pnk->np", white, white))

        on_all_cores(measure, _blocks(x.shape[1]))
        return found


def principal_axes(features: Floats | Halves, axes: int, *, seed: int) -> Floats:
    """The `axes` leading principal axes, float32 [c, k], of a sample of patches [n, c]."""
    c = features.shape[1]
    if c <= axes:
        return np.eye(c, dtype=np.float32)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(features), min(len(features), _SAMPLE), replace=False))
    sample = features[rows].astype(np.float64)
    sample -= sample.mean(0)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors[:, ::-1][:, :axes], dtype=np.float32)


def _blocks(positions: int) -> Iterator[slice]:
    for start in range(0, positions, _POSITIONS):
        yield slice(start, start + _POSITIONS)

"""Kernel density estimate: how thinly normal images lie around an image.

    s(x) = −log (1/n) Σᵢ N(x; xᵢ, h² I)

(Parzen 1962.) The bandwidth h maximises the likelihood of normal images under the estimate from the
images of other groups (Duin 1976): images of one group are near copies, and with them h would shrink to
nothing.

When it fails. In many dimensions all images are about equally far: it then ranks as the nearest
neighbour does. One bandwidth suits no data of unequal density.

Memory. The estimate keeps at most `max_bank` vectors, a random choice of more, and the bandwidth is
chosen on 2000: one 2000 × 2000 matrix of distances for all candidates. Scoring goes in blocks of 64 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.density.neighbours import BLOCK_BYTES, Neighbours, some_rows
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

Doubles = NDArray[np.float64]

SELECTION: Final = 2000  # vectors that the bandwidth is chosen on
# Candidates as shares of the root mean squared distance; one dimension's h is that distance / sqrt(2 d).
_SHARES: Final = np.geomspace(0.003, 1.5, 48)

_ROWS: Final = 32
_EXACT: Final = 16  # kernels, the nearest, that weigh enough for rounding to matter


@dataclass(frozen=True)
class KdeSettings(FeatureSettings):
    """Parameters of the kernel density estimate."""

    auto_scaling: ClassVar[str] = "whiten"
    bandwidth: float = parameter(
        0.0, "deviation of the kernel in scaled features; 0: by cross-validated likelihood", limits=(0.0, 1e6)
    )
    max_bank: int = parameter(20_000, "the estimate keeps at most this many images", limits=(1, 10**6))


class KdeHead:
    """Minus the logarithm of the density, kernels in the middle of each kept vector."""

    def __init__(self, vectors: Floats, bandwidth: float) -> None:
        if not 0 < bandwidth < np.inf:
            raise ValueError(f"a bandwidth of {bandwidth}")
        self._bank, self._bandwidth = Neighbours(vectors), bandwidth

    def scores(self, z: Floats) -> Doubles:
        n, d = self._bank.vectors.shape
        constant = np.log(n) + d * np.log(self._bandwidth) + d / 2 * np.log(2 * np.pi)
        step = max(1, BLOCK_BYTES // (8 * n))
        parts = [
            constant - _log_sum(self._bank.squared(z[i : i + step], exact=_EXACT) / (-2 * self._bandwidth**2))
            for i in range(0, len(z), step)
        ]
        return np.concatenate(parts)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_bank": self._bank.vectors}

    def numbers(self) -> dict[str, Any]:
        return {"bandwidth": self._bandwidth}


class Kde(ImageLevelDetector):
    """Minus the log density of a Gaussian kernel estimate."""

    name: ClassVar[str] = "kde"
    family: ClassVar[str] = "density"
    settings_type: ClassVar[type[Settings]] = KdeSettings
    settings: KdeSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> KdeHead:
        rows = some_rows(len(z), self.settings.max_bank, job.seed)
        few = some_rows(len(z), SELECTION, job.seed)
        bandwidth = self.settings.bandwidth or likeliest_bandwidth(z[few], groups[few])
        return KdeHead(np.ascontiguousarray(z[rows]), bandwidth)

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> KdeHead:
        return KdeHead(np.asarray(arrays["head_bank"], np.float32), float(numbers["bandwidth"]))


def likeliest_bandwidth(x: Floats, groups: NDArray[np.int64]) -> float:
    """The h that gives images [n, d] the highest likelihood under those of the other groups."""
    squared = Neighbours(x).squared(x)
    squared[groups[:, None] == groups[None]] = np.inf
    others = np.isfinite(squared)
    if not others.any():
        return 1.0
    scale = float(np.sqrt(squared[others].mean()))
    # below that, distances are rounding: only copies of one image, in several groups
    if scale <= 1e-4 * (1.0 + float(np.abs(x).max())):
        return 1.0
    squared = squared[others.any(1)]
    nearest = squared.min(1)
    candidates = scale * _SHARES
    sums = np.zeros(len(candidates))
    for start in range(0, len(squared), _ROWS):  # all candidates while the rows are in the cache
        part = slice(start, start + _ROWS)
        # in float32, in a quarter of the time: no more than a millionth of a kernel is rounded away
        beyond = (squared[part] - nearest[part, None]).astype(np.float32)
        for i, h in enumerate(candidates):
            kernels = np.exp(beyond * np.float32(-0.5 / h**2)).sum(1)
            sums[i] += (np.log(kernels) - nearest[part] / (2 * h**2)).sum()
    return float(candidates[int(np.argmax(sums / len(squared) - x.shape[1] * np.log(candidates)))])


def _log_sum(exponents: Doubles) -> Doubles:
    """log Σ exp over the rows' entries, without overflow."""
    top = exponents.max(1)
    return np.asarray(top + np.log(np.exp(exponents - top[:, None]).sum(1)))

"""Local outlier factor: how much thinner an image's neighbourhood is than those of its neighbours.

    s(x) = mean_{o ∈ N_k(x)} lrd(o) / lrd(x),   lrd(x) = 1 / mean_{o ∈ N_k(x)} max(d(x, o), kdist(o))

(Breunig et al. 2000, with new images compared to the training images only.)

When it fails. Anomalies that resemble one another and lie in the training data form a dense place of
their own. Where k is larger than a rare kind of normal image is frequent, that kind looks odd.

Memory. At most `max_bank` vectors are kept, a random choice of more; all pairs in blocks of 64 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.density.neighbours import Neighbours, some_rows
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

Doubles = NDArray[np.float64]

_LEAST: Final = 1e-10  # added to distances, as scikit-learn does: copies have none


@dataclass(frozen=True)
class LofSettings(FeatureSettings):
    """Parameters of the local outlier factor."""

    auto_scaling: ClassVar[str] = "whiten"
    n_neighbors: int = parameter(20, "images in a neighbourhood", limits=(1, 1000))
    max_bank: int = parameter(20_000, "at most this many images are kept", limits=(2, 10**5))


class LofHead:
    """Vectors [n, d], the distance of each to its k-th neighbour, and its local density."""

    def __init__(self, vectors: Floats, kdist: Doubles, density: Doubles, n_neighbors: int) -> None:
        self._bank, self._kdist, self._density = Neighbours(vectors), kdist, density
        if not kdist.shape == density.shape == (len(vectors),) or not 1 <= n_neighbors <= len(vectors):
            raise ValueError("the neighbourhoods do not fit the vectors")
        self._k = n_neighbors

    @classmethod
    def learn(cls, vectors: Floats, n_neighbors: int) -> LofHead:
        n = len(vectors)
        if n == 1:
            return cls(vectors, np.zeros(1), np.full(1, 1 / _LEAST), 1)
        k = min(n_neighbors, n - 1)
        distances, rows = Neighbours(vectors).nearest(vectors, k, without=np.arange(n))
        kdist = distances[:, -1].copy()
        return cls(vectors, kdist, _density(distances, kdist[rows]), k)

    def scores(self, z: Floats) -> Doubles:
        distances, rows = self._bank.nearest(z, self._k)
        return np.asarray(self._density[rows].mean(1) / _density(distances, self._kdist[rows]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_bank": self._bank.vectors, "head_kdist": self._kdist, "head_density": self._density}

    def numbers(self) -> dict[str, Any]:
        return {"n_neighbors": self._k}


class Lof(ImageLevelDetector):
    """Local outlier factor of new images against the normal ones."""

    name: ClassVar[str] = "lof"
    family: ClassVar[str] = "one-class"
    settings_type: ClassVar[type[Settings]] = LofSettings
    settings: LofSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> LofHead:
        rows = some_rows(len(z), self.settings.max_bank, job.seed)
        return LofHead.learn(np.ascontiguousarray(z[rows]), self.settings.n_neighbors)

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> LofHead:
        return LofHead(
            np.asarray(arrays["head_bank"], np.float32),
            np.asarray(arrays["head_kdist"], np.float64),
            np.asarray(arrays["head_density"], np.float64),
            int(numbers["n_neighbors"]),
        )


def _density(distances: Doubles, kdist: Doubles) -> Doubles:
    """lrd [n] from the distances to the neighbours and their own k-distances, both [n, k]."""
    return np.asarray(1 / (np.maximum(distances, kdist).mean(1) + _LEAST))

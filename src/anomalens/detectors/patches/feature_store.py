"""Patch features of the training images, held under a memory budget."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.coreset import SELECTION_DIMENSIONS, greedy_coreset
from anomalens.errors import SettingError

# Selecting needs, beside a vector itself, its projection, norm, bound, nearest chosen row and group.
_OVERHEAD: Final = 4 * SELECTION_DIMENSIONS + 2 * 4 + 2 * 8


class FeatureStore:
    """Collects feature vectors; reduces what it holds to a coreset whenever the budget is used up.

    Parameters
    ----------
    channels : int
    memory_mb : int
        Budget for vectors and their selection, in MB (10⁶ bytes).
    keep : int
        Vectors kept by one reduction. More than the bank, so that leaving a group out later still
        finds what covers for it.
    seed : int
    """

    def __init__(self, channels: int, *, memory_mb: int, keep: int, expected: int, seed: int) -> None:
        self._capacity = int(memory_mb * 1e6 / (4 * channels + _OVERHEAD))
        if self._capacity < 2 * keep:
            raise SettingError(
                f"A budget of {memory_mb} MB holds {self._capacity} vectors of {channels} channels, fewer "
                f"than twice the {keep} that a reduction keeps; raise memory_mb or lower max_bank."
            )
        rows = min(self._capacity, expected)
        self._features = np.empty((rows, channels), np.float32)
        self._groups = np.empty(rows, np.int64)
        self._used = 0
        self._keep = keep
        self._seed = seed
        self.seen = 0
        self.reduced = False

    def add(self, features: NDArray[np.float32], group: int) -> None:
        """Append the vectors [p, channels] of one image."""
        room = len(self._features)
        if self._used + len(features) > room:
            if self._keep + len(features) > room:
                raise SettingError(
                    f"The memory budget holds {room} vectors, and one image has {len(features)} beside "
                    f"the {self._keep} that a reduction keeps; raise memory_mb or lower max_bank or size."
                )
            self._reduce()
        end = self._used + len(features)
        self._features[self._used : end] = features
        self._groups[self._used : end] = group
        self._used = end
        self.seen += len(features)

    @property
    def features(self) -> NDArray[np.float32]:
        """float32 [n, channels]: all vectors seen, or what the reductions kept."""
        return self._features[: self._used]

    @property
    def groups(self) -> NDArray[np.int64]:
        return self._groups[: self._used]

    def _reduce(self) -> None:
        rows = np.sort(greedy_coreset(self.features, self._keep, seed=self._seed).chosen)
        self._features[: len(rows)] = self._features[rows]
        self._groups[: len(rows)] = self._groups[rows]
        self._used = len(rows)
        self.reduced = True


class PairwiseDistance:
    """How far apart any two of the vectors seen are, without keeping them."""

    def __init__(self) -> None:
        self._n, self._sum, self._squares = 0, np.zeros(1), 0.0

    def add(self, features: NDArray[np.float32]) -> None:
        """Take vectors [p, channels]."""
        self._n += len(features)
        self._sum = self._sum + features.sum(0, dtype=np.float64)
        self._squares += float(np.einsum("ij,ij->", features, features))

    def typical(self) -> float:
        """Root of the mean squared distance of two of them: twice the summed variances."""
        mean = self._sum / self._n
        return float(np.sqrt(max(2 * (self._squares / self._n - float(mean @ mean)), 1e-12)))

"""Patch features of the training images, held in float16 under a memory budget."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.views.coreset import SELECTION_DIMENSIONS, Coreset, greedy_coreset
from anomalens.detectors.patches.views.half_precision import Halves
from anomalens.errors import SettingError
from anomalens.progress import Progress, silent

# Selecting needs, beside a vector itself, its projection, norm, bound, nearest chosen row and group.
_OVERHEAD: Final = 2 * SELECTION_DIMENSIONS + 2 * 4 + 2 * 8
_LIMIT: Final = float(np.finfo(np.float16).max)
_USUAL: Final = 256.0  # the largest number of the image that sets the unit


class FeatureStore:
    """Collects feature vectors; reduces what it holds to a coreset whenever the budget is used up.

    Numbers are held as float16 in a unit that is a power of two: rounded to 11 bits.

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
        self._capacity = int(memory_mb * 1e6 / (2 * channels + _OVERHEAD))
        if self._capacity < 2 * keep:
            raise SettingError(
                f"A budget of {memory_mb} MB holds {self._capacity} vectors of {channels} channels, fewer "
                f"than twice the {keep} that a reduction keeps; raise memory_mb or lower max_bank."
            )
        rows = min(self._capacity, expected)
        self._features: Halves = np.empty((rows, channels), np.float16)
        self._unit = np.float32(0)
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
        largest = float(np.abs(features).max())
        if largest > _LIMIT * self._unit:
            self._set_unit(largest)
        end = self._used + len(features)
        self._features[self._used : end] = features / (self._unit or np.float32(1))
        self._groups[self._used : end] = group
        self._used = end
        self.seen += len(features)

    def __len__(self) -> int:
        """Vectors held: all that were seen, or what the reductions kept."""
        return self._used

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Some of the vectors: float32 [m, channels]."""
        return self._features[: self._used][rows] * self._unit

    def image(self, number: int, patches: int) -> NDArray[np.float32]:
        """The vectors [patches, channels] of one image, where no reduction has let any go."""
        return self[number * patches : (number + 1) * patches]

    def coreset(
        self, size: int, trusted: NDArray[np.bool_] | None = None, *, progress: Progress = silent
    ) -> Coreset:
        """The rows that the greedy rule chooses of those held, or of the trusted ones among them."""
        held = self._features[: self._used]
        return greedy_coreset(held, size, trusted, seed=self._seed, progress=progress)

    @property
    def nbytes(self) -> int:
        """Memory of the vectors and their groups, in bytes."""
        return self._features.nbytes + self._groups.nbytes

    @property
    def groups(self) -> NDArray[np.int64]:
        """The groups of the vectors held: int64 [n]."""
        return self._groups[: self._used]

    def _set_unit(self, largest: float) -> None:
        """Room for 256 times this number; what is held keeps its value, unless it is 2⁻³² of that or less."""
        unit = np.float32(2.0 ** math.ceil(math.log2(max(largest, 1e-30) / _USUAL)))
        self._features[: self._used] *= np.float16(self._unit / unit)
        self._unit = unit

    def _reduce(self) -> None:
        rows = np.sort(self.coreset(self._keep).chosen)
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

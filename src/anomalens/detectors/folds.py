"""Which images are scored out of fold: whole groups, drawn at random."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FOLDS: Final = 5  # where a detector is fitted anew without each
# Out-of-fold scores are taken from at most this many images; a rate of 0.001 needs 999.
MAX_CALIBRATION_IMAGES: Final = 2000


def some_groups(groups: NDArray[np.int64], most: int, seed: int) -> NDArray[np.bool_]:
    """Which images take part, bool [n]: whole groups, drawn until `most` images are reached."""
    if len(groups) <= most:
        return np.ones(len(groups), bool)
    names, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    taken = order[: max(1, int(np.searchsorted(np.cumsum(counts[order]), most, side="right")))]
    return np.isin(inverse, taken)


def fold_of_groups(groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each image, int64 [n]: whole groups, in folds of about one size."""
    names, inverse = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[inverse]

"""Memory banks that leave one fold of groups out, and every training image's distances under its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.bank import Bank
from anomalens.detectors.patches.coreset import Coreset
from anomalens.detectors.patches.feature_store import FeatureStore

FOLDS: Final = 10


def banks_without(
    store: FeatureStore,
    coreset: Coreset,
    groups: NDArray[np.int64],
    folds: NDArray[np.int64],
) -> Iterator[Bank]:
    """One bank per fold, filled up by the greedy rule; none where one group leaves nothing when it is out."""
    if folds.max() == 0:
        return
    for fold in range(int(folds.max()) + 1):
        yield Bank(store[coreset.without(np.isin(store.groups, groups[folds == fold]))])

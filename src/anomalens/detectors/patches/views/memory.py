"""Patches of normal images as memory banks: one of all, and one for each fold that leaves its groups out.

Leaving a fold out costs no fit: the bank loses its vectors and the greedy rule fills it up again from what is
left (`Coreset.without`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, TrainingImages, parameter
from anomalens.detectors.folds import fold_of_groups
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.coreset import Coreset
from anomalens.detectors.patches.views.feature_store import FeatureStore
from anomalens.detectors.patches.views.view import Floats, Grid
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job

FOLDS: Final = 10
_SPARE: Final = 2  # a reduction of the feature store keeps this many times the bank


@dataclass(frozen=True)
class BankSettings(Settings):
    """How large a memory bank is."""

    coreset_ratio: float = parameter(0.01, "share of all patches that the bank keeps", limits=(1e-6, 1.0))
    min_bank: int = parameter(1000, "the bank keeps at least this many patches", limits=(1, 10**6))
    max_bank: int = parameter(10_000, "the bank keeps at most this many patches", limits=(1, 10**6))
    memory_mb: int = parameter(1000, "budget for patch features while fitting, in MB", limits=(16, 10**6))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_bank > self.max_bank:
            raise SettingError(
                f"min_bank is {self.min_bank} and max_bank is {self.max_bank}; give a min_bank that is not "
                "larger."
            )

    def store(self, grid: Grid, channels: int, n_images: int, seed: int) -> FeatureStore:
        """Room for the patches of so many images."""
        return FeatureStore(
            channels,
            memory_mb=self.memory_mb,
            keep=_SPARE * self.max_bank,
            expected=grid[0] * grid[1] * n_images,
            seed=seed,
        )

    def size(self, seen: int) -> int:
        """How many of the patches seen the bank keeps."""
        return min(max(self.min_bank, round(self.coreset_ratio * seen)), self.max_bank)


@dataclass(frozen=True)
class Doubt:
    """Which of the patches that were read may be no normal ones.

    Attributes
    ----------
    trusted : bool [n]
        What a bank may hold.
    weights : float32 [n]
        How much distances to each count.
    """

    trusted: NDArray[np.bool_]
    weights: Floats


@dataclass(frozen=True)
class Memory:
    """What banks are made of.

    Attributes
    ----------
    store : FeatureStore
    coreset : Coreset
    groups, folds : int64 [n]
        Which images belong together, and which are left out together.
    grid : (int, int)
        Rows and columns of an image's patches.
    weights : float32 of each patch in the store, or None
    """

    store: FeatureStore
    coreset: Coreset
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    grid: Grid
    weights: Floats | None = None

    @classmethod
    def read(
        cls,
        embed: Callable[[Pixels], Floats],
        images: TrainingImages,
        settings: BankSettings,
        job: Job,
        *,
        doubt: Callable[[FeatureStore, int], Doubt | None],
    ) -> Self:
        """One pass over the images, with what gives an image's features [h, w, c]."""
        store: FeatureStore | None = None
        steps = job.progress(images, label="reading features", total=len(images))
        for image, group in zip(steps, images.groups, strict=True):
            features = embed(image)
            grid = features.shape[:2]
            if store is None:
                store = settings.store(grid, features.shape[2], len(images), job.seed)
            store.add(features.reshape(-1, features.shape[2]), int(group))
        assert store is not None
        return cls.of(store, images, settings, grid, job, doubt(store, grid[0] * grid[1]))

    @classmethod
    def of(
        cls,
        store: FeatureStore,
        images: TrainingImages,
        settings: BankSettings,
        grid: Grid,
        job: Job,
        doubt: Doubt | None = None,
    ) -> Self:
        """From patches that were read already."""
        trusted, weights = (None, None) if doubt is None else (doubt.trusted, doubt.weights)
        coreset = store.coreset(settings.size(store.seen), trusted, progress=job.progress)
        groups = np.asarray(images.groups)
        return cls(store, coreset, groups, fold_of_groups(groups, FOLDS, job.seed), grid, weights)

    def bank(self) -> Bank:
        """The bank of all images."""
        return self._bank(self.coreset.chosen)

    def _bank(self, rows: NDArray[np.int64]) -> Bank:
        return Bank(self.store[rows], None if self.weights is None else self.weights[rows])

    def banks_without(self) -> Iterator[Bank]:
        """One bank per fold, filled up by the greedy rule; none where one group alone leaves nothing."""
        if self.folds.max() == 0:
            return
        for fold in range(int(self.folds.max()) + 1):
            held = np.isin(self.store.groups, self.groups[self.folds == fold])
            yield self._bank(self.coreset.without(held))

    def left_out(
        self, embed: Callable[[Pixels], Floats], images: TrainingImages, wanted: NDArray[np.bool_]
    ) -> Iterator[tuple[int, Floats, Bank]]:
        """The wanted images: number, features [p, c] and the bank that left them out.

        Held features are taken fold by fold, with one bank at a time; where a reduction let them go, all
        banks wait for the images to be read again.
        """
        patches = self.grid[0] * self.grid[1]
        if not self.store.reduced:
            for fold, bank in enumerate(self.banks_without()):
                for i in np.flatnonzero(wanted & (self.folds == fold)).tolist():
                    yield i, self.store.image(i, patches), bank
            return
        ready = list(self.banks_without())
        for i, image in enumerate(images if ready else ()):
            if wanted[i]:
                yield i, embed(image).reshape(patches, -1), ready[self.folds[i]]

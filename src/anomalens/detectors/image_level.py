"""Base of the image-level detectors: features → space → head.

The features of all normal images are computed once. A head is a small model of vectors; five more of
them, with spaces of their own, are fitted without a fifth of the groups each and give the out-of-fold
scores. Images are scored one at a time, so that no score depends on its batch.

Memory. At most `memory_mb` is used for the features and their copies while fitting: of more images a
random part is learnt from. What a head needs beyond that is stated in its file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Part,
    Reasons,
    Scores,
    State,
    TrainingImages,
)
from anomalens.detectors.features.cache import FeatureCache, FeatureMemory
from anomalens.detectors.features.extractor import Extractor, FeatureSettings
from anomalens.detectors.features.making import extractor_from_state, learn_extractor
from anomalens.detectors.features.space import FeatureSpace
from anomalens.detectors.folds import FOLDS, MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.errors import BackboneError, SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.progress import Progress

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]

# The features, those of a fold, and a scaled copy are held at once, with room for one block more.
_COPIES: Final = 4
_LARGEST: Final = 1e15  # sums of squares of smaller numbers stay finite in float32


class Head(Protocol):
    """A model of vectors, rebuilt from arrays."""

    def scores(self, z: Floats) -> NDArray[np.float64]:
        """Raw scores [n] of vectors [n, k]; higher is more anomalous."""

    def arrays(self) -> dict[str, NDArray[Any]]: ...

    def numbers(self) -> dict[str, Any]: ...


class ImageLevelDetector(Detector):
    """A head on features of the whole image."""

    pixel_level: ClassVar[bool] = False
    settings: FeatureSettings

    extractor_: Extractor
    _runtime: Runtime | None = None
    _memory: FeatureMemory | None = None
    space_: FeatureSpace
    head_: Head

    @abstractmethod
    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> Head:
        """A head from vectors [n, k] of normal images and their groups, int64 [n]."""

    @classmethod
    @abstractmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> Head:
        """Rebuild a head from what its `numbers` and `arrays` gave; nothing is trusted."""

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        if not len(images):
            raise SettingError(f"{self.name} needs at least one normal image to fit and was given none.")
        extractor, unseen = learn_extractor(self.settings, images, job)
        self._use(extractor, job.runtime, job.features)
        every = np.arange(len(images), dtype=np.int64)
        rows, x = self._collect(images, unseen if len(unseen) else every, job.seed, job.progress)
        groups = np.asarray(images.groups)[rows]
        ids = images.ids  # made anew whenever it is asked for
        self.ids_ = [ids[row] for row in rows]
        space, head = self._learnt(x, groups, job)
        # what scores from now on is what the state rebuilds, memory layout and all: equal bit for bit
        self.space_ = FeatureSpace.from_arrays(_in_order(space.arrays()))
        self.head_ = self.head_from(head.numbers(), _in_order(head.arrays()))
        del space, head  # a bank is held twice already
        if not len(unseen):  # the features themselves have seen every image
            return None
        scores = np.full(len(images), np.nan)
        scores[rows] = self._out_of_fold(x, groups, job)
        return Scores(scores)

    def score(self, batch: Batch) -> Scores:
        features = [self._features(image) for image in batch.images]
        # one row at a time: a product of many rows may round otherwise than that of one
        scores = [self._score(x) for x in features]
        return Scores(np.array(scores, np.float64), explain=lambda i: self.reasons(features[i]))

    def state(self) -> State:
        return State(
            numbers={"features": self.extractor_.numbers(), "head": self.head_.numbers()},
            arrays={**self.space_.arrays(), **self.head_.arrays()},
            graphs=self.extractor_.graphs(),
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        detector = cls()
        detector._use(extractor_from_state(state, size=size, runtime=runtime), runtime)
        detector.space_ = FeatureSpace.from_arrays(state.arrays)
        detector.head_ = cls.head_from(state.numbers["head"], state.arrays)
        # arrays that do not fit one another fail here and not on the first image
        detector.head_.scores(detector.space_.apply(detector.space_.mean[None]))
        return detector

    def reasons(self, x: Floats) -> Reasons:
        """By how much the score of features [d] would fall if a group were as in the average normal image."""
        full = self._score(x)
        parts = []
        for group in self.extractor_.groups:
            changed = x.copy()
            changed[group.start : group.stop] = self.space_.mean[group.start : group.stop]
            parts.append(Part(group.name, full - self._score(changed)))
        return Reasons(parts=tuple(sorted(parts, key=lambda part: -part.contribution)))

    def _score(self, x: Floats) -> float:
        return float(self.head_.scores(self.space_.apply(x[None]))[0])

    def share_features(self, memory: FeatureMemory) -> None:
        """Look features up in this memory from now on; detectors that share one use one network."""
        self._memory = memory
        if self._runtime is not None:
            self.extractor_ = memory.through(self.extractor_, runtime=self._runtime)

    def _use(self, extractor: Extractor, runtime: Runtime, cache: Path | None = None) -> None:
        self.extractor_ = extractor
        if cache is not None:
            self.extractor_ = FeatureCache(cache).through(extractor, runtime=runtime)
        if self._memory is not None:
            self.extractor_ = self._memory.through(self.extractor_, runtime=runtime)
        self._runtime = runtime

    def _features(self, image: Pixels) -> Floats:
        x = self.extractor_(image)
        if not np.abs(x).max() < _LARGEST:
            raise BackboneError("The features of an image are no numbers or too large; use other features.")
        return x

    def _collect(
        self, images: TrainingImages, rows: NDArray[np.int64], seed: int, progress: Progress
    ) -> tuple[NDArray[np.int64], Floats]:
        """Features [m, d] of these images, or of a random part that fits the budget; and which these are."""
        steps = iter(progress(images, label="reading features", total=len(images)))
        first = self._features(next(steps))
        most = max(1, self.settings.memory_mb * 10**6 // (_COPIES * first.nbytes))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
        x = np.empty((len(rows), len(first)), np.float32)
        place = 0
        if rows[0] == 0:
            x[0], place = first, 1
        for index, image in enumerate(steps, start=1):
            if place < len(rows) and index == rows[place]:
                x[place] = self._features(image)
                place += 1
        return rows, x

    def _learnt(self, x: Floats, groups: NDArray[np.int64], job: Job) -> tuple[FeatureSpace, Head]:
        s = self.settings
        space = FeatureSpace.learn(x, scaling=s.used_scaling, components=s.kept_components)
        return space, self.learn(space.apply(x), groups, job)

    def _out_of_fold(self, x: Floats, groups: NDArray[np.int64], job: Job) -> NDArray[np.float64]:
        """Each chosen image scored by a space and a head that left its group out; NaN elsewhere."""
        scores = np.full(len(x), np.nan)
        wanted = some_groups(groups, MAX_CALIBRATION_IMAGES, job.seed)
        folds = np.where(wanted, fold_of_groups(groups, FOLDS, job.seed), -1)
        for fold in job.progress(range(FOLDS), label="calibrating", total=FOLDS):
            held = folds == fold
            if not held.any() or held.all():
                continue
            space, head = self._learnt(x[~held], groups[~held], job)
            scores[held] = head.scores(space.apply(x[held]))
        return scores


def _in_order(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Row by row in memory, as a model file holds them: products round by layout."""
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

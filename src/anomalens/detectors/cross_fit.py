"""Out-of-fold scores of a detector that gets none from its own fit, by fitting it to parts.

Each image is scored by a detector that has not learnt from it, nor from any image of its group. An
inspector calibrates on such scores, and `combine` puts its members on one scale with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Batch, Detector, Scores, TrainingImages, references_of
from anomalens.detectors.folds import FOLDS, fold_of_groups
from anomalens.detectors.made_pairs import taken_again
from anomalens.images.arrays import Pixels
from anomalens.images.augment import Augmentation
from anomalens.job import Job
from anomalens.progress import Progress, silent

# Slight changes that make a stand-in for a new image where there are too few to leave any out.
STAND_IN: Final = Augmentation(flip="none", rotate=5, scale=0.05, brightness=0.1)


@dataclass(frozen=True)
class SomeImages:
    """Some of the images, passed over anew each time; decoded ones are not held.

    Attributes
    ----------
    images : TrainingImages
    rows : int64 [m]
        Which of them, ascending.
    """

    images: TrainingImages
    rows: NDArray[np.int64]

    @property
    def ids(self) -> Sequence[str]:
        ids = self.images.ids
        return [ids[row] for row in self.rows]

    @property
    def groups(self) -> NDArray[np.int64]:
        return np.asarray(self.images.groups)[self.rows]

    @property
    def classes(self) -> Sequence[str | None]:
        classes = self.images.classes
        return [classes[row] for row in self.rows]

    @property
    def size(self) -> tuple[int, int]:
        return self.images.size

    @property
    def references(self) -> Iterator[Pixels] | None:
        references = references_of(self.images)
        return None if references is None else self._taken(references)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Pixels]:
        return self._taken(self.images)

    def _taken(self, images: Iterable[Pixels]) -> Iterator[Pixels]:
        wanted = set(self.rows.tolist())
        for row, image in enumerate(images):
            if row in wanted:
                yield image


def batches(images: TrainingImages) -> Iterator[Batch]:
    """The images one by one as batches to score, each with its reference where there are references."""
    references = references_of(images)
    if references is None:
        for image, name in zip(images, images.ids, strict=True):
            yield Batch([image], [name])
    else:
        for image, name, reference in zip(images, images.ids, references, strict=True):
            yield Batch([image], [name], references=[reference])


def stand_ins(detector: Detector, batch: Batch, *, index: int, n: int, seed: int) -> Iterator[Batch]:
    """Slightly changed copies of the one image of a batch, each a batch: stand-ins for new images.

    A detector that compares pairs gets what a second picture of the same thing may be, with the same
    reference: a copy that is turned by some degrees is not what it will be asked about.
    """
    image = batch.images[0]
    if detector.uses_references:
        references = [image] if batch.references is None else batch.references
        for copy in range(n):
            changed = taken_again(image, np.random.default_rng([seed, index, copy]))
            yield Batch([changed], [f"copy-{copy}"], references=references)
        return
    for copy, changed in enumerate(STAND_IN.copies(image, image_index=index, n=n, seed=seed)):
        yield Batch([changed], [f"copy-{copy}"])


def cross_fit(
    detector: Detector,
    images: TrainingImages,
    job: Job,
    *,
    which: NDArray[np.int64] | None = None,
    captures: NDArray[np.int64] | None = None,
) -> Scores:
    """Out-of-fold scores from five fits on parts: whole groups leave together, and whole captures if given.

    Parameters
    ----------
    detector : Detector
        Is not changed: fresh ones are fitted.
    images : TrainingImages
    which : int64 [m], optional
        The images that are scored, all by default; augmented copies need no score.
    captures : int64 [n], optional
        Which day, shift or camera each image is of: it is scored by a detector that has seen none of that.

    Returns
    -------
    Scores
        NaN where an image was not scored, as all are where there is one group only. Maps are the maxima,
        [n, 1, 1].
    """
    groups = np.asarray(images.groups)
    n = len(groups)
    folds = fold_of_groups(groups if captures is None else captures, FOLDS, job.seed)
    asked = np.ones(n, bool) if which is None else np.isin(np.arange(n), which)
    scores = np.full(n, np.nan)
    maxima = np.full((n, 1, 1), np.nan, np.float32) if detector.pixel_level else None
    for fold in range(FOLDS):
        held = folds == fold
        learnt = ~np.isin(groups, groups[held])  # a group may reach into another capture
        if not (held & asked).any() or not learnt.any():
            continue
        part = detector.fresh()
        rest = SomeImages(images, np.flatnonzero(learnt))
        part.fit(rest, job)
        left_out = SomeImages(images, np.flatnonzero(held & asked))
        for row, batch in zip(left_out.rows, batches(left_out), strict=True):
            answer = part.score(batch)
            scores[row] = answer.image[0]
            if maxima is not None and answer.maps is not None:
                maxima[row] = answer.maps[0].max()
    return Scores(scores, maxima)


def stand_in_scores(
    judged: Iterable[tuple[Detector, Batch]],
    *,
    total: int,
    copies: int,
    seed: int,
    progress: Progress = silent,
) -> Scores:
    """Scores of slightly changed copies of images: a poor stand-in for those of new images.

    Parameters
    ----------
    judged : iterable of (Detector, Batch)
        `total` batches of one image each, with the detector that scores the copies of it.
    copies : int
        How many are made of each image.

    Returns
    -------
    Scores
        For total · copies copies; maps are the maxima, [n, 1, 1].
    """
    scores: list[float] = []
    maxima: list[float] = []
    made = (
        (judge, copy)
        for index, (judge, batch) in enumerate(judged)
        for copy in stand_ins(judge, batch, index=index, n=copies, seed=seed)
    )
    for judge, copy in progress(made, label="calibrating", total=total * copies):
        answer = judge.score(copy)
        scores.append(float(answer.image[0]))
        if answer.maps is not None:
            maxima.append(float(answer.maps[0].max()))
    return Scores(np.array(scores), np.array(maxima, np.float32)[:, None, None] if maxima else None)

"""One score of two: what shows in a part of the image, and what only the whole image shows.

Both scores are brought to one scale, learnt from normal images that the scored model did not learn from, and
added as probabilities are:

    s = log(exp z_a + exp z_b),   z = (score − median) / deviation

a smooth maximum: it grows strictly with either score, and neither has to be weighed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.folds import fold_of_groups, some_groups
from anomalens.images.arrays import Pixels
from anomalens.progress import Progress

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Judge = Callable[[Pixels], tuple[tuple[float, float], Floats]]  # an image's two scores and its map

FOLDS: Final = 5
# Half of what others take: every fold is another pass of the network over its images.
MOST_IMAGES: Final = 1000

# A deviation of a few scores may come out as nearly nothing; this share of their size bounds it from below.
_LEAST: Final = 1e-3


@dataclass(frozen=True)
class Fusion:
    """Middle and deviation of each of the two scores."""

    middle: tuple[float, float]
    deviation: tuple[float, float]

    @classmethod
    def learn(cls, scores: Doubles) -> Self:
        """From out-of-fold scores of normal images, float64 [n, 2]; rows with NaN do not count."""
        known = scores[np.isfinite(scores).all(1)]
        if not len(known):
            return cls((0.0, 0.0), (1.0, 1.0))
        middle = np.median(known, axis=0)
        deviation = np.sqrt(np.mean((known - middle) ** 2, axis=0))
        deviation = np.maximum(deviation, np.maximum(_LEAST * np.abs(middle), 1e-9))
        return cls((float(middle[0]), float(middle[1])), (float(deviation[0]), float(deviation[1])))

    def __call__(self, scores: Doubles) -> Doubles:
        """Fused scores [n] of pairs [n, 2]; NaN where a pair has one."""
        fused = np.full(len(scores), np.nan)
        known = np.isfinite(scores).all(1)
        z = (scores[known] - np.array(self.middle)) / np.array(self.deviation)
        fused[known] = np.logaddexp(z[:, 0], z[:, 1])
        return fused

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a state."""
        return {"middle": list(self.middle), "deviation": list(self.deviation)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild; nothing about the numbers is trusted."""
        values = np.array([data["middle"], data["deviation"]], np.float64)
        if values.shape != (2, 2) or not np.isfinite(values).all() or not (values[1] > 0).all():
            raise ValueError("the scale of the two scores does not fit")
        (a, b), (c, d) = values.tolist()
        return cls((a, b), (c, d))


def out_of_fold(
    images: TrainingImages,
    judge_without: Callable[[NDArray[np.bool_]], Judge | None],
    *,
    seed: int,
    progress: Progress,
) -> tuple[Doubles, Floats]:
    """Both scores of normal images, by models that leave their fold of groups out.

    Parameters
    ----------
    images : TrainingImages
    judge_without : callable
        Is given which images to leave out, bool [n]; answers with a model of the others, or None where
        nothing is left. The models are small changes of one graph, so that scores are computed as later.
    seed : int
    progress : Progress

    Returns
    -------
    scores : float64 [n, 2]
        NaN where an image was not chosen.
    maxima : float32 [n, 1, 1]
        Of the maps.
    """
    groups = images.groups
    wanted = some_groups(groups, MOST_IMAGES, seed)
    folds = fold_of_groups(groups, FOLDS, seed)
    scores = np.full((len(groups), 2), np.nan)
    maxima = np.full((len(groups), 1, 1), np.nan, np.float32)
    for fold in progress(range(FOLDS), label="calibrating", total=FOLDS):
        left_out = folds == fold
        if not (left_out & wanted).any() or (judge := judge_without(left_out)) is None:
            continue
        for i, image in enumerate(images):
            if left_out[i] and wanted[i]:
                scores[i], anomaly_map = judge(image)
                maxima[i] = anomaly_map.max()
    return scores, maxima

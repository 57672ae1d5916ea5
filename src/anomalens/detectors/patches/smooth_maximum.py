"""One score of two: what shows in a part of the image, and what only the whole image shows.

Both scores are brought to one scale, learnt from normal images that the scored model did not learn from, and
added as probabilities are:

    s = log(exp z_a + exp z_b),   z = (score − median) / deviation

a smooth maximum: it grows strictly with either score, and neither has to be weighed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.folds import fold_of_groups, some_groups
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.detector import LeftOut, PatchDetector, Raw
from anomalens.detectors.patches.views.maps import MAP
from anomalens.job import Job

FOLDS: Final = 5
# Half of what others take: every fold is another pass of the network over its images.
MOST_IMAGES: Final = 1000

# A deviation of a few scores may come out as nearly nothing; this share of their size bounds it from below.
_LEAST: Final = 1e-3


@dataclass(frozen=True)
class SmoothMaximum:
    """Middle and deviation of each of the two scores."""

    middle: tuple[float, float]
    deviation: tuple[float, float]

    @classmethod
    def learn(cls, images: Sequence[LeftOut]) -> Self:
        """From left-out normal images, of two raw scores each."""
        if not images:
            return cls((0.0, 0.0), (1.0, 1.0))
        scores = np.array([list(one.raw.values()) for one in images])
        middle = np.median(scores, axis=0)
        deviation = np.sqrt(np.mean((scores - middle) ** 2, axis=0))
        deviation = np.maximum(deviation, np.maximum(_LEAST * np.abs(middle), 1e-9))
        return cls((float(middle[0]), float(middle[1])), (float(deviation[0]), float(deviation[1])))

    def __call__(self, raw: Raw) -> float:
        """The fused score of an image's two."""
        z = (np.array(list(raw.values())) - np.array(self.middle)) / np.array(self.deviation)
        return float(np.logaddexp(z[0], z[1]))

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


def left_out_by_refits(
    detector: PatchDetector,
    images: TrainingImages,
    network_without: Callable[[NDArray[np.bool_]], FeatureNetwork | None],
    job: Job,
) -> Iterator[LeftOut]:
    """Normal images as networks score them that leave their fold of groups out.

    Parameters
    ----------
    detector : PatchDetector
        Says what the raw scores are.
    images : TrainingImages
    network_without : callable
        Is given which images to leave out, bool [n]; answers with a network of the others, or None where
        nothing is left. It differs from the final one in what was learnt alone, so that scores are computed
        as later.
    """
    groups = images.groups
    wanted = some_groups(groups, MOST_IMAGES, job.seed)
    folds = fold_of_groups(groups, FOLDS, job.seed)
    for fold in job.progress(range(FOLDS), label="calibrating", total=FOLDS):
        left_out = folds == fold
        if not (left_out & wanted).any() or (network := network_without(left_out)) is None:
            continue
        for i, image in enumerate(images):
            if left_out[i] and wanted[i]:
                outputs = network.named(image, detector.outputs)
                yield LeftOut(i, detector.raw(outputs), float(outputs[MAP].max()))

"""The views that make the score of `auto`, each with scores of normal images that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.density.gaussian import GaussianHead
from anomalens.detectors.features.covariance import moments, shrunk, whitener
from anomalens.detectors.features.space import FeatureSpace

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Share of the patches whose mean is a view's image score: a single patch is noise more often than a defect.
TOP_SHARE: Final = 0.005
LAYOUT_SHARE: Final = 0.01  # of a quarter as many
VIEWS: Final = ("patches", "layout", "context")


@dataclass(frozen=True)
class Context:
    """Mahalanobis distance of the whole image's pooled features."""

    space: FeatureSpace
    head: GaussianHead

    @classmethod
    def learn(cls, x: Floats) -> Context:
        """From features [n, d] of normal images."""
        space = FeatureSpace.learn(x, scaling="standardise", components=0)
        z = space.apply(x)
        mean, _ = moments(z)
        covariance = shrunk(z, mean, "ledoit-wolf")
        try:  # ten times faster than by eigenvectors, and the shrunk matrix nearly always allows it
            white = np.linalg.inv(np.linalg.cholesky(covariance)).T
        except np.linalg.LinAlgError:
            white = whitener(covariance)
        # what scores from now on is what the state rebuilds: float32, row by row, equal bit for bit
        return cls.from_arrays(cls(space, GaussianHead(mean, white)).arrays())

    def score(self, x: Floats) -> float:
        """Of one image's features [d]."""
        return float(self.head.scores(self.space.apply(x[None]))[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the state."""
        found = {**self.space.arrays(), **self.head.arrays()}
        return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Context:
        """Rebuild; ValueError or KeyError where the arrays do not fit."""
        space = FeatureSpace.from_arrays(arrays)
        head = GaussianHead(
            *(np.asarray(arrays[name], np.float64) for name in ("head_mean", "head_whitener"))
        )
        head.scores(space.apply(space.mean[None]))
        return cls(space, head)


@dataclass(frozen=True)
class Fusion:
    """How the views become one score.

    Attributes
    ----------
    scales : TailScale of each view, or None
        None where there are too few groups to leave any out: the patches' score then stands alone.
    weights : mapping of view to float
        Of the tail values in the image's score.
    """

    scales: Mapping[str, TailScale] | None
    weights: Mapping[str, float]

    def parts(self, raw: Mapping[str, float]) -> dict[str, float]:
        """What each view adds to the score: its weight times its place on its tail scale."""
        if self.scales is None:
            return {"patches": raw["patches"]}
        return {view: w * float(self.scales[view](raw[view])) for view, w in self.weights.items()}

    def score(self, raw: Mapping[str, float]) -> float:
        """The image's score."""
        return float(sum(self.parts(raw).values()))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        scales = None if self.scales is None else {v: s.to_json() for v, s in self.scales.items()}
        return {"scales": scales, "weights": dict(self.weights)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fusion:
        """Read what `to_json` wrote; ValueError, KeyError or TypeError where that is damaged."""
        weights = {view: float(data["weights"][view]) for view in VIEWS}
        if not all(abs(weight) < 1e30 for weight in weights.values()):
            raise ValueError("weights that are no numbers or too large")
        scales = data["scales"]
        return cls(
            None if scales is None else {view: TailScale.from_json(scales[view]) for view in VIEWS},
            weights,
        )


def every_second(grid: Floats) -> Floats:
    """The patches that the layout is of: averaged ones overlap. [h, w, c] → [⌈h/2⌉, ⌈w/2⌉, c]."""
    return grid[::2, ::2]


def left_out_context(
    x: Floats, folds: NDArray[np.int64], progress: Callable[[Sequence[int]], Any]
) -> Doubles:
    """Each image's distance under a model that left its fold out: float64 [n]."""
    scores = np.full(len(x), np.nan)
    for fold in progress(range(int(folds.max()) + 1)):
        held = folds == fold
        if held.all():
            break
        model = Context.learn(x[~held])
        scores[held] = model.head.scores(model.space.apply(x[held]))
    return scores

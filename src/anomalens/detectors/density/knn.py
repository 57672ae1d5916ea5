"""k nearest neighbours: the distance of an image's features to those of the nearest normal images.

    s(x) = the mean distance to the k nearest normal images, or the distance to the k-th

(Ramaswamy et al. 2000, the k-th; Angiulli and Pizzuti 2002, the mean; on deep features Bergman et al.
2020, "Deep Nearest Neighbor Anomaly Detection", arXiv:2002.10445, the mean of 2.) Distances are
Euclidean or cosine (1 − cos, of features that are then not centred unless asked for).

When it fails. A single odd image among the normal ones makes everything like it normal, the more so the
smaller k is. Features that vary for reasons that do not matter drown those that do: `gaussian` weighs
them by their covariance.

Memory. The bank keeps at most `max_bank` vectors, a random choice of more; distances in blocks of 64 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import (
    Neighbour,
    Reasons,
    Scores,
    Settings,
    TrainingImages,
    parameter,
)
from anomalens.detectors.density.neighbours import Neighbours, some_rows
from anomalens.detectors.features.extractor import FeatureSettings, check_choice
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

NEAREST: Final = 3  # similar normal images that are named


@dataclass(frozen=True)
class KnnSettings(FeatureSettings):
    """Parameters of k nearest neighbours."""

    auto_scaling: ClassVar[str] = "whiten"
    n_neighbors: int = parameter(2, "how many neighbours count", limits=(1, 1000))
    distance: str = parameter("mean", "mean (of the n_neighbors) or kth (of the farthest of them)")
    metric: str = parameter("euclidean", "euclidean or cosine")
    max_bank: int = parameter(20_000, "the bank keeps at most this many images", limits=(1, 10**6))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("distance", self.distance, ("mean", "kth"))
        check_choice("metric", self.metric, ("euclidean", "cosine"))

    @property
    def used_scaling(self) -> str:
        """Angles are taken of features as they are; distances where all directions count alike."""
        return "none" if self.metric == "cosine" and self.scaling == "auto" else super().used_scaling


class KnnHead:
    """A bank of vectors and how the distances to the nearest become a score."""

    def __init__(self, vectors: Floats, *, n_neighbors: int, kth: bool, cosine: bool) -> None:
        self._bank = Neighbours(_directions(vectors) if cosine else vectors)
        if n_neighbors < 1:
            raise ValueError(f"{n_neighbors} neighbours")
        self._wanted, self._kth, self._cosine = n_neighbors, kth, cosine
        self.ids: tuple[str, ...] = ()

    def neighbours(self, z: Floats, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances and rows of the bank [n, k], nearest first."""
        queries = _directions(z) if self._cosine else z
        distances, rows = self._bank.nearest(queries, min(k, len(self._bank)))
        # between directions |a − b|² = 2 (1 − cos)
        return (distances**2 / 2 if self._cosine else distances), rows

    def scores(self, z: Floats) -> NDArray[np.float64]:
        distances, _ = self.neighbours(z, self._wanted)
        return distances[:, -1].copy() if self._kth else distances.mean(1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_bank": self._bank.vectors}

    def numbers(self) -> dict[str, Any]:
        plain = {"n_neighbors": self._wanted, "kth": self._kth, "cosine": self._cosine}
        return {**plain, "ids": list(self.ids)}


class Knn(ImageLevelDetector):
    """Distance to the nearest normal images in feature space."""

    name: ClassVar[str] = "knn"
    family: ClassVar[str] = "density"
    settings_type: ClassVar[type[Settings]] = KnnSettings
    settings: KnnSettings
    head_: KnnHead

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        scores = super().fit(images, job)
        kept = some_rows(len(self.ids_), self.settings.max_bank, job.seed)
        self.head_.ids = tuple(self.ids_[row] for row in kept)
        return scores

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> KnnHead:
        s = self.settings
        rows = some_rows(len(z), s.max_bank, job.seed)
        return KnnHead(
            np.ascontiguousarray(z[rows]),
            n_neighbors=s.n_neighbors,
            kth=s.distance == "kth",
            cosine=s.metric == "cosine",
        )

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> KnnHead:
        head = KnnHead(
            np.asarray(arrays["head_bank"], np.float32),
            n_neighbors=int(numbers["n_neighbors"]),
            kth=bool(numbers["kth"]),
            cosine=bool(numbers["cosine"]),
        )
        head.ids = tuple(str(name) for name in numbers["ids"])
        return head

    def reasons(self, x: Floats) -> Reasons:
        """The groups of features that matter, and the most similar normal images."""
        distances, rows = self.head_.neighbours(self.space_.apply(x[None]), NEAREST)
        pairs = zip(rows[0], distances[0], strict=True)
        nearest = tuple(Neighbour(self.head_.ids[row], float(distance)) for row, distance in pairs)
        return replace(super().reasons(x), nearest=nearest)


def _directions(z: Floats) -> Floats:
    lengths = np.sqrt(np.einsum("ij,ij->i", z, z))
    return np.asarray(z / np.where(lengths > 0, lengths, 1)[:, None], np.float32)

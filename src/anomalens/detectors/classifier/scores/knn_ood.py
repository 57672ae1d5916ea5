"""Distance to the k-th nearest known image: Sun et al. 2022, "OOD Detection with Deep Nearest Neighbors"
(arXiv:2204.06507)."""

from __future__ import annotations

from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs

MAX_BANK: Final = 10_000  # images; 50 MB of 1280 features
_SHARE: Final = 1e-3  # k = 50 of CIFAR-10's 50,000 images, 1000 of ImageNet's 1.3 million
_SPARE: Final = 16  # more than k candidates in float32, so that the k-th in float64 is among them
_BLOCK: Final = 256  # images whose distances to the bank are held at once


class NearestNeighbours(OodScore):
    """s(x) = ‖u − u_(k)‖, the distance to the k-th nearest of the known images, with u = f / ‖f‖.

    The paper's k is about a thousandth of the images, and 1 at least. Of more than 10,000 images a fixed
    random part is kept, the same share of each class and one image of each at least; k shrinks with it.
    """

    name: ClassVar[str] = "knn-ood"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        rows = kept_rows(labels, MAX_BANK)
        k = max(1, round(_SHARE * len(rows)))
        bank = on_sphere(outputs.features[rows]).astype(np.float32)
        return cls(last, {"bank": bank, "k": np.array([k], np.int64)})

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        bank: NDArray[np.float32] = self.arrays["bank"]
        k = int(self.arrays["k"][0])
        close = min(k + _SPARE, len(bank))
        found = np.empty(len(outputs.features))
        for start in range(0, len(found), _BLOCK):
            u = on_sphere(outputs.features[start : start + _BLOCK])
            cosines = u.astype(np.float32) @ bank.T
            nearest = np.argpartition(-cosines, close - 1, axis=1)[:, :close]
            for i, rows in enumerate(nearest):
                squares = ((bank[rows] - u[i]) ** 2).sum(axis=1)
                found[start + i] = np.sqrt(np.partition(squares, k - 1)[k - 1])
        return found


def on_sphere(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Features [n, d] of length 1; what has none stays at the origin."""
    wide = features.astype(np.float64)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-10)
    return wide


def kept_rows(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` rows (or one a class, if classes are more), ascending, in the classes' proportions."""
    if len(labels) <= most:
        return np.arange(len(labels))
    place = np.empty(len(labels))  # of a row in its shuffled class, 0 to 1
    rng = np.random.default_rng(0)
    classes, counts = np.unique(labels, return_counts=True)
    for label, count in zip(classes, counts, strict=True):
        place[labels == label] = rng.permutation(count) / count
    return np.sort(np.argsort(place, kind="stable")[: max(most, len(classes))])

"""Isolation forest: how few random cuts set an image's features apart.

    s(x) = 2 ^ (−E[h(x)] / c(ψ))

h is the depth at which a random tree, grown on ψ images, isolates x, and c(ψ) that of an unsuccessful
search (Liu et al. 2008). Between 0 and 1; about 0.5 is unremarkable.

The features are turned to their principal axes first: cuts run along one feature at a time, and of many
that vary together each says little.

When it fails. What shows in many weak directions at once, it hardly sees.
Far away and farther look alike.

Memory. A tree is grown on 256 images: 300 trees take 3 MB, however many images there are. Scoring goes
through 1000 images at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]

_BLOCK: Final = 1000
_FLAT: Final = ("left", "right", "feature", "threshold", "depth", "roots")


@dataclass(frozen=True)
class IforestSettings(FeatureSettings):
    """Parameters of the isolation forest."""

    components: int = parameter(512, "principal components that are cut; 0: the features", limits=(0, 4096))
    n_estimators: int = parameter(300, "trees", limits=(1, 10_000))
    max_samples: int = parameter(256, "images that a tree is grown on", limits=(1, 10**5))


class IforestHead:
    """All trees in flat arrays: a node's children, the feature and threshold of its cut, its depth.

    A leaf is its own child, so that all trees can be walked for the same number of steps. Its depth
    counts the images that it did not separate as a subtree of average depth.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], expected: float, steps: int) -> None:
        kinds = {"threshold": np.float64, "depth": np.float64}
        flat = {name: np.asarray(arrays[name], kinds.get(name, np.int64)) for name in _FLAT}
        n = len(flat["left"])
        for name in ("left", "right", "roots"):
            if not flat[name].size or not ((flat[name] >= 0) & (flat[name] < n)).all():
                raise ValueError("a tree's nodes lie outside the forest")
        if any(flat[name].shape != (n,) for name in _FLAT if name != "roots") or flat["feature"].min() < 0:
            raise ValueError("the trees' arrays do not fit one another")
        if not (0 < expected < np.inf and 0 <= steps <= 10_000):
            raise ValueError("the forest's depth is damaged")
        self._flat, self._expected, self._steps = flat, expected, steps

    @classmethod
    def learn(cls, z: Floats, settings: IforestSettings, seed: int) -> Self:
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(
            n_estimators=settings.n_estimators,
            max_samples=min(settings.max_samples, len(z)),
            random_state=seed % 2**32,
        ).fit(z)
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _FLAT}
        start, steps = 0, 0
        for estimator in forest.estimators_:
            tree = estimator.tree_
            nodes = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            level = np.zeros(tree.node_count)
            for node in nodes[~leaf]:  # a child's number is higher than its parent's
                level[[tree.children_left[node], tree.children_right[node]]] = level[node] + 1
            steps = max(steps, int(level.max()))
            parts["left"].append(start + np.where(leaf, nodes, tree.children_left))
            parts["right"].append(start + np.where(leaf, nodes, tree.children_right))
            parts["feature"].append(np.where(leaf, 0, tree.feature))
            parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
            parts["depth"].append(level + average_depth(tree.n_node_samples))
            parts["roots"].append(np.array([start]))
            start += tree.node_count
        arrays = {name: np.concatenate(values) for name, values in parts.items()}
        expected = float(average_depth(np.array([forest.max_samples_]))[0])
        return cls(arrays, expected or 1.0, steps)

    def scores(self, z: Floats) -> Doubles:
        return np.concatenate([self._block(z[i : i + _BLOCK]) for i in range(0, len(z), _BLOCK)])

    def _block(self, z: Floats) -> Doubles:
        f = self._flat
        rows = np.arange(len(z))[:, None]
        nodes = np.broadcast_to(f["roots"], (len(z), len(f["roots"])))
        for _ in range(self._steps):
            # float32 features against float64 thresholds, as scikit-learn grew them
            nodes = np.where(
                z[rows, f["feature"][nodes]] <= f["threshold"][nodes], f["left"][nodes], f["right"][nodes]
            )
        return np.asarray(2.0 ** (-f["depth"][nodes].mean(1) / self._expected))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {f"head_{name}": values for name, values in self._flat.items()}

    def numbers(self) -> dict[str, Any]:
        return {"expected": self._expected, "steps": self._steps}


class Iforest(ImageLevelDetector):
    """How quickly random cuts isolate an image."""

    name: ClassVar[str] = "iforest"
    family: ClassVar[str] = "one-class"
    settings_type: ClassVar[type[Settings]] = IforestSettings
    settings: IforestSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> IforestHead:
        return IforestHead.learn(z, self.settings, job.seed)

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> IforestHead:
        flat = {name: arrays[f"head_{name}"] for name in _FLAT}
        return IforestHead(flat, float(numbers["expected"]), int(numbers["steps"]))


def average_depth(counts: NDArray[Any]) -> Doubles:
    """c(n): the average depth of an unsuccessful search in a tree of n images."""
    n = np.asarray(counts, np.float64)
    many = 2 * (np.log(np.maximum(n - 1, 1)) + np.euler_gamma) - 2 * (n - 1) / np.maximum(n, 1)
    return np.where(n > 2, many, np.where(n == 2, 1.0, 0.0))

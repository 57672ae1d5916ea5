"""A dictionary of normal vectors: k-means words, and how far normal vectors usually are from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.distances import append_squared_distances
from anomalens.detectors.patches.views.view import Floats

LEAST: Final = 1e-6  # of a feature vector's L1 norm, so that a black image divides by something
_FEW: Final = 10  # vectors that a word's own statistics need; else those of all words
_LEAST_SHARE: Final = 0.02  # of the mean distance, that a deviation does not go below


@dataclass(frozen=True)
class Words:
    """A dictionary of normal vectors, and how far normal vectors are from each word.

    Attributes
    ----------
    centre, axes : float32 [c], [c, q]
        Principal components that the words are in.
    words : float32 [k, q]
    middle, deviation : float32 [k]
        Where the distances of normal vectors lie whose nearest word this is.
    n_nearest : int
        m: words that a distance averages over.
    """

    centre: Floats
    axes: Floats
    words: Floats
    middle: Floats
    deviation: Floats
    n_nearest: int

    @classmethod
    def learn(cls, vectors: Floats, *, count: int, n_nearest: int, variance: float, seed: int) -> Self:
        """From features [n, c] of normal sub-images.

        Parameters
        ----------
        vectors : float32 [n, c]
        count, n_nearest : int
            k and m; at least ten vectors stand behind a word.
        variance : float
            Share that the principal components keep.
        seed : int
        """
        unit = normalised(vectors)
        centre = unit.mean(0)
        values, axes = np.linalg.eigh(np.cov((unit - centre).T.astype(np.float64)))
        values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
        enough = np.cumsum(values) >= variance * values.sum()
        axes = np.ascontiguousarray(axes[:, : int(enough.argmax()) + 1], np.float32)
        x = (unit - centre) @ axes
        words = k_means(x, max(1, min(count, len(x) // 10)), seed=seed)
        n_nearest = min(n_nearest, len(words))
        distances, nearest = mean_of_nearest(x, words, n_nearest)
        middle, deviation = np.full(len(words), distances.mean()), np.full(len(words), distances.std())
        for word in range(len(words)):
            own = distances[nearest == word]
            if len(own) >= _FEW:
                middle[word], deviation[word] = own.mean(), own.std()
        deviation = np.maximum(deviation, max(_LEAST_SHARE * float(distances.mean()), 1e-9))
        return cls(centre, axes, words, middle.astype(np.float32), deviation.astype(np.float32), n_nearest)

    def append(self, graph: Graph, value: str, name: str) -> str:
        """Add the standardised distances [p, 1] of features `value` [p, c]."""
        size = graph.add("Abs", [value], f"{name}/sizes")
        norm = graph.reduce("ReduceSum", size, f"{name}/norm", axis=1, keep=True)
        positive = graph.add("Max", [norm, np.float32(LEAST)], f"{name}/positive")
        unit = graph.add("Div", [value, positive], f"{name}/unit")
        centred = graph.add("Sub", [unit, self.centre], f"{name}/centred")
        x = graph.add("MatMul", [centred, self.axes], f"{name}/x")
        squared = append_squared_distances(graph, x, self.words, f"{name}/to_words")
        few, places = graph.smallest(squared, self.n_nearest, f"{name}/few")
        roots = graph.add("Sqrt", [few], f"{name}/roots")
        distance = graph.reduce("ReduceMean", roots, f"{name}/distance", axis=1, keep=True)
        nearest = graph.add("Gather", [places, [0]], f"{name}/nearest", axis=1)  # [p, 1]
        middle = graph.add("Gather", [self.middle, nearest], f"{name}/middle", axis=0)
        deviation = graph.add("Gather", [self.deviation, nearest], f"{name}/deviation", axis=0)
        excess = graph.add("Sub", [distance, middle], f"{name}/excess")
        return graph.add("Div", [excess, deviation], f"{name}/scores")


def normalised(vectors: Floats) -> Floats:
    """Features [p, c] of L1 norm one, as the paper's."""
    return np.asarray(vectors / np.maximum(np.abs(vectors).sum(1, keepdims=True), np.float32(LEAST)))


def mean_of_nearest(x: Floats, words: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Mean distance [p] of x [p, q] to its nearest `count` words, and the nearest word [p]."""
    centre = words.mean(0)
    x, words = x - centre, words - centre
    squared = x @ (-2 * words.T)
    squared += np.einsum("ij,ij->i", words, words)
    squared += np.einsum("ij,ij->i", x, x)[:, None]
    squared = np.maximum(squared, 0)
    few = np.partition(squared, count - 1, axis=1)[:, :count]
    return np.sqrt(few).mean(1), squared.argmin(1)


def k_means(x: Floats, count: int, *, seed: int, steps: int = 25) -> Floats:
    """Lloyd's algorithm from k-means++ (Arthur & Vassilvitskii 2007); fewer centres where vectors are copies.

    Own and in numpy: libraries' versions add in an order that depends on their threads, and one seed must
    always give one dictionary.
    """
    rng = np.random.default_rng(seed)
    centres = x[[int(rng.integers(len(x)))]]
    bound = np.full(len(x), np.inf)
    while len(centres) < count:
        difference = x - centres[-1]
        bound = np.minimum(bound, np.einsum("ij,ij->i", difference, difference))
        total = np.cumsum(bound)
        if total[-1] <= 0:
            break
        chosen = min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), len(x) - 1)
        centres = np.concatenate([centres, x[[chosen]]])
    for _ in range(steps):
        _, nearest = mean_of_nearest(x, centres, 1)
        sizes = np.bincount(nearest, minlength=len(centres))
        sums = np.zeros(centres.shape)
        order = np.argsort(nearest, kind="stable")
        present = np.flatnonzero(sizes)
        sums[present] = np.add.reduceat(
            x[order].astype(np.float64), np.searchsorted(nearest[order], present), axis=0
        )
        moved = centres.copy()
        moved[present] = sums[present] / sizes[present, None]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres

"""What the patches of an image have in common, and what that leaves of each.

Patches vary together: with the filling of a bottle, the light, a part that is turned a little. The leading
principal components of whole images' patch features hold that (eigenfaces do it with pixels, Turk & Pentland
1991):

    x ≈ μ + Σⱼ wⱼ cⱼ,   cⱼ = ⟨wⱼ, x − μ⟩,   x, μ, wⱼ: positions × features

A patch is then judged by what they leave, x − μ − Σⱼ wⱼ cⱼ: by whether it fits the rest of its image, and no
longer by its position alone. With a Gaussian for what is left this is factor analysis of the image, with a
covariance for each position. No cⱼ takes off more than normal images show, three standard deviations: an
image that is twice as dark as any has nothing to explain that by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

COMPONENTS: Final = 32
IMAGES_PER_COMPONENT: Final = 2
DEVIATIONS: Final = 3.0
_POSITIONS: Final = 64  # worked on at a time: 64 × n × k float32, and 64 × k × k
_LEAST: Final = 1e-6  # of the largest variance: what is less is rounding


@dataclass(frozen=True)
class ImageComponents:
    """Leading principal components of images' patch features.

    Attributes
    ----------
    mean : float32 [p, k]
    basis : float32 [m, p · k]
        Orthonormal rows; of zeros where the images vary in fewer ways.
    most : float32 [m]
        The largest |cⱼ| that is taken off.
    """

    mean: Floats
    basis: Floats
    most: Floats

    def rests(self, x: Floats | Halves) -> Floats:
        """What the components leave of features [n, p, k]: float32 [n, p, k]."""
        rows = (x.astype(np.float32) - self.mean).reshape(len(x), -1)
        rows -= np.clip(rows @ self.basis.T, -self.most, self.most) @ self.basis
        return rows.reshape(x.shape)

    def append(self, graph: Graph, along: str, name: str) -> str:
        """Add the same as nodes: what the components leave of features `along` [p, k] of one image."""
        centred = graph.add("Sub", [along, self.mean], f"{name}/centred")
        row = graph.add("Reshape", [centred, [1, self.mean.size]], f"{name}/row")
        shares = graph.add("Gemm", [row, self.basis], f"{name}/shares", transB=1)
        below = graph.add("Min", [shares, self.most], f"{name}/below")
        bounded = graph.add("Max", [below, -self.most], f"{name}/bounded")
        explained = graph.add("MatMul", [bounded, self.basis], f"{name}/explained")
        rests = graph.add("Sub", [row, explained], f"{name}/rests_row")
        return graph.add("Reshape", [rests, list(self.mean.shape)], f"{name}/rests")


def split_off_components(
    x: Halves,
    folds: NDArray[np.int64],
    count: int = COMPONENTS,
    *,
    also: Sequence[tuple[Halves, NDArray[np.int64]]] = (),
) -> ImageComponents | None:
    """Learn the components of all images, and leave in their places what those of other folds leave.

    What components leave of the images they were learnt from is too little to judge new images by. All is
    computed from the images' inner products, so that leaving a fold out costs no pass over the features.

    Parameters
    ----------
    x : float16 [n, p, k]
        Features of normal images. Overwritten with their rests.
    folds : int64 [n]
        Images of one fold are left out together.
    count : int
        How many components at most; no more than half the images that are left when a fold is.
    also : sequence of (float16 [a, p, k], int64 [a])
        Features that nothing is learnt from, and the fold that each belongs to; overwritten likewise.

    Returns
    -------
    ImageComponents or None
        None where there are too few images; then nothing was overwritten.
    """
    n, p, k = x.shape
    all_folds = np.unique(np.concatenate([folds, *(owners for _, owners in also)]))
    least = min(int((folds != fold).sum()) for fold in all_folds)
    count = min(count, least // IMAGES_PER_COMPONENT)
    if not count:
        return None
    mean, gram, crosses = _inner_products(x, [y for y, _ in also])
    shares, most = _shares(gram, count)
    own = np.zeros((n, n), np.float32)
    others = [np.zeros((len(y), n), np.float32) for y, _ in also]
    for fold in all_folds:
        known = np.flatnonzero(folds != fold)
        targets = [(own, gram, folds), *zip(others, crosses, (f for _, f in also), strict=True)]
        middle, within = _centred(gram[np.ix_(known, known)])
        learnt, limit = _shares(within, count)
        for weights, products, owners in targets:
            held = np.flatnonzero(owners == fold)
            if len(held):
                apart = products[np.ix_(known, held)] - middle[:, None]
                weights[np.ix_(held, known)] = _made_of(apart, learnt, limit).T
    basis = np.empty((shares.shape[1], p, k), np.float32)
    for block in position_blocks(p):
        rows = (x[:, block].astype(np.float32) - mean[block]).reshape(n, -1)
        basis[:, block] = (shares.T.astype(np.float32) @ rows).reshape(-1, *mean[block].shape)
        for (y, _), weights in zip([(x, folds), *also], [own, *others], strict=True):
            theirs = (y[:, block].astype(np.float32) - mean[block]).reshape(len(y), rows.shape[1])
            theirs -= weights @ rows
            y[:, block] = theirs.reshape(y[:, block].shape)
    rows = np.ascontiguousarray(basis.reshape(len(basis), p * k))
    return ImageComponents(mean, rows, most.astype(np.float32))


def _inner_products(x: Halves, also: Sequence[Halves]) -> tuple[Floats, Doubles, list[Doubles]]:
    """Mean image [p, k], and inner products of the images less it: [n, n], and [n, a] with each of `also`."""
    n, p, k = x.shape
    mean = np.empty((p, k), np.float32)
    gram, crosses = np.zeros((n, n)), [np.zeros((n, len(y))) for y in also]
    for block in position_blocks(p):
        rows = x[:, block].astype(np.float32)
        mean[block] = rows.mean(0)
        rows = (rows - mean[block]).reshape(n, -1)
        gram += rows @ rows.T
        for cross, y in zip(crosses, also, strict=True):
            cross += rows @ (y[:, block].astype(np.float32) - mean[block]).reshape(len(y), rows.shape[1]).T
    return mean, gram, crosses


def _made_of(apart: Doubles, learnt: Doubles, limit: Doubles) -> Doubles:
    """Weights [known, held] of known images that make up the mean and the components of those held out."""
    shown = learnt.T @ (apart - apart.mean(0))
    made_of = learnt @ np.clip(shown, -limit[:, None], limit[:, None])
    weights: Doubles = made_of - made_of.mean(0) + 1 / len(apart)
    return weights


def _centred(gram: Doubles) -> tuple[Doubles, Doubles]:
    """Products with the mean of these images [n], and the Gram matrix of what differs from it [n, n]."""
    middle = gram.mean(1)
    return middle, gram - middle - middle[:, None] + middle.mean()


def _shares(gram: Doubles, count: int) -> tuple[Doubles, Doubles]:
    """From a centred Gram matrix: how much of each image the components are made of [n, m], and most [m]."""
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    real = values > max(_LEAST * float(values[0]), 1e-30)
    values = np.where(real, values, 0)
    shares = vectors * np.where(real, 1 / np.sqrt(np.where(real, values, 1)), 0)
    return shares, DEVIATIONS * np.sqrt(values / len(gram))


def position_blocks(positions: int) -> Iterator[slice]:
    """Slices of positions that are worked on at a time."""
    for start in range(0, positions, _POSITIONS):
        yield slice(start, start + _POSITIONS)

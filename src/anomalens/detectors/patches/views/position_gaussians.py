"""A Gaussian of patch features at every position of the grid (after PaDiM's model of normality).

A covariance of its own for each position needs more images than most people have, and k² numbers. Here
positions share one covariance P, and each adds the few directions in which its own features scatter more:

    Σ_p = P^½ (I + Σᵢ (λᵢ − 1) uᵢ uᵢᵀ) P^½,   i ≤ rank, λᵢ > 1

where uᵢ and λᵢ are eigenvectors and values of (1 − a) P^−½ S_p P^−½ + a I, S_p is the position's own
covariance and a the shrinkage. The squared distance is then a difference of two norms, and a position costs
rank · k numbers. P is regularised: with as much ε as variance, distances lie between Mahalanobis' and
Euclid's. What the rest of the image explains of a position can be taken off before (`image_components.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.image_components import ImageComponents, position_blocks
from anomalens.detectors.patches.views.view import Floats, Grid, View, as_grid
from anomalens.threads import on_all_cores

Halves = NDArray[np.float16]

REGULARISATION: Final = 1.0
_LEAST: Final = 1e-4


@dataclass(frozen=True)
class Scatter:
    """How positions may scatter.

    Attributes
    ----------
    regularisation : float
        As in `whitener_of`.
    shrinkage : float, 0–1
        How much of the shared covariance a position's own is mixed with.
    rank : int
        Directions of its own that a position has, at most.
    """

    regularisation: float = REGULARISATION
    shrinkage: float = 0.3
    rank: int = 16


USUAL: Final = Scatter()


@dataclass(frozen=True)
class PositionGaussians(View):
    """Mahalanobis distances of p positions, in k principal axes of the features.

    Attributes
    ----------
    axes : float32 [c, k]
        Principal axes of all positions' features.
    whitener : float32 [k, k]
        y = (x @ axes) @ whitener − mean is centred and, over all positions, white.
    mean : float32 [p, k]
    local : float32 [p, r, k]
        What a position may vary by beyond that: √(|y|² − |local y|²) is the Mahalanobis distance.
    components : ImageComponents or None
        What is taken off x @ axes first.
    """

    axes: Floats
    whitener: Floats
    mean: Floats
    local: Floats
    components: ImageComponents | None = None

    @classmethod
    def fit(
        cls,
        x: Floats | Halves,
        axes: Floats,
        *,
        scatter: Scatter = USUAL,
        components: ImageComponents | None = None,
    ) -> PositionGaussians:
        """From features [n, p, k] of normal images, already along the axes and without the components.

        Parameters
        ----------
        x : float16 or float32 [n, p, k]
        axes : float32 [c, k]
        scatter : Scatter
        components : ImageComponents or None
            What `distances` has to take off.
        """
        n, p, k = x.shape
        blocks = list(position_blocks(p))
        mean = np.empty((p, k), np.float32)
        scatters = np.zeros((len(blocks), k, k))

        def meet(number: int) -> None:
            centred = _by_position(x, blocks[number])
            mean[blocks[number]] = centred.mean(1)
            centred -= mean[blocks[number], None]
            scatters[number] = (centred.transpose(0, 2, 1) @ centred).sum(0, dtype=np.float64)

        on_all_cores(meet, range(len(blocks)))
        whitener = whitener_of(scatters.sum(0) / (p * max(1, n - 1)), mean, scatter.regularisation)
        rank = min(scatter.rank, k, n - 1)
        local = np.empty((p, rank, k), np.float32)

        def learn(block: slice) -> None:
            white = (_by_position(x, block) - mean[block, None]) @ whitener
            own = white.transpose(0, 2, 1) @ white / max(1, n - 1)
            values, vectors = np.linalg.eigh(own)
            more = (1 - scatter.shrinkage) * values[:, k - rank :] + scatter.shrinkage
            share = np.sqrt(1 - 1 / np.maximum(more, 1))
            local[block] = (vectors[:, :, k - rank :] * share[:, None]).transpose(0, 2, 1)

        if rank:
            on_all_cores(learn, blocks)
        return cls(axes, whitener, mean @ whitener, local, components)

    def distances(self, x: Floats) -> Floats:
        """Mahalanobis distance of each position's features [p, c]: float32 [p]."""
        along = x @ self.axes
        rests = along[None] if self.components is None else self.components.rests(along[None])
        found: Floats = self.distances_of_rests(rests)[0]
        return found

    def append(self, graph: Graph, source: str, name: str, grid: Grid) -> str:
        """Add the same as nodes."""
        (p, k), rank = self.mean.shape, self.local.shape[1]
        rows = graph.add("Reshape", [source, [p, self.axes.shape[0]]], f"{name}/patches")
        axes = self.axes @ self.whitener
        if self.components is not None:
            along = graph.add("MatMul", [rows, self.axes], f"{name}/components/along")
            rows, axes = self.components.append(graph, along, f"{name}/components"), self.whitener
        kept = graph.add("MatMul", [rows, axes], f"{name}/kept")
        white = graph.add("Sub", [kept, self.mean], f"{name}/white")
        squared = graph.squared_norms(white, k, f"{name}/norm")
        if rank:
            columns = graph.add("Reshape", [white, [p, k, 1]], f"{name}/white_columns")
            explained = graph.add("MatMul", [self.local, columns], f"{name}/explained_columns")
            flat = graph.add("Reshape", [explained, [p, rank]], f"{name}/explained")
            less = graph.squared_norms(flat, rank, f"{name}/explained_norm")
            rest = graph.add("Sub", [squared, less], f"{name}/rest")
            squared = graph.add("Relu", [rest], f"{name}/clipped")  # rounding can go below 0
        return as_grid(graph, squared, name, grid)

    def distances_of_rests(self, x: Floats | Halves) -> Floats:
        """Distances of features [n, p, k] that the components have been taken off: float32 [n, p]."""
        found = np.empty(x.shape[:2], np.float32)

        def measure(block: slice) -> None:
            y = _by_position(x, block) @ self.whitener - self.mean[block, None]
            explained = y @ self.local[block].transpose(0, 2, 1)  # [positions, n, r]
            squared = np.einsum("pnk,pnk->np", y, y) - np.einsum("pnr,pnr->np", explained, explained)
            found[:, block] = np.sqrt(np.maximum(squared, 0))

        on_all_cores(measure, position_blocks(x.shape[1]))
        return found


def whitener_of(
    covariance: NDArray[np.float64], mean: NDArray[Any], regularisation: float = REGULARISATION
) -> Floats:
    """W, float32 [k, k]: |x W|² is the squared Mahalanobis distance under Σ + ε I.

    ε is `regularisation` times the mean variance: a share and not a number, since networks differ in how
    large their features are. It is at least what a ten-thousandth of the features' typical size, from their
    means [..., k], gives: of one image, or of equal ones, the covariance is nothing but rounding.
    """
    typical = float(np.trace(covariance)) / len(covariance)
    ridge = max(regularisation * typical, _LEAST**2 * float(np.square(mean, dtype=np.float64).mean())) or 1.0
    values, vectors = np.linalg.eigh(covariance)
    # rounding of large sums may leave a direction without variance slightly below 0
    return np.asarray(vectors / np.sqrt(np.maximum(values, 0) + ridge), np.float32)


def _by_position(x: Floats | Halves, block: slice) -> Floats:
    """Features [positions, n, k], one position after the other: a BLAS takes no other products of stacks."""
    return np.array(x[:, block].transpose(1, 0, 2), np.float32, order="C")

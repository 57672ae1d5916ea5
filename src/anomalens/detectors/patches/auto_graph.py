"""The graph that `auto` scores with, and the proof that it finds the distances that calibrated it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import DETAIL, EMBEDDING, FEATURES, FINE
from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.network import ROUNDING, FeatureNetwork
from anomalens.detectors.patches.auto_heads import every_second
from anomalens.detectors.patches.auto_map import MapTerms
from anomalens.detectors.patches.bank import Bank, largest_change
from anomalens.detectors.patches.maps import MapMaker
from anomalens.detectors.patches.position_gaussians import PositionGaussians
from anomalens.detectors.patches.search_graph import (
    FINE_DISTANCE,
    LAYOUT,
    MAP,
    NEAREST,
    UNLIKELY,
    append_every_second,
    append_gaussians,
    append_map,
    append_nearest,
    append_shared,
)
from anomalens.detectors.patches.shared_gaussians import SharedGaussians
from anomalens.errors import BackboneError
from anomalens.images.arrays import Pixels

Floats = NDArray[np.float32]

# Largest difference between the graph's distances and numpy's, relative to the largest.
_TOLERANCE: Final = 1e-2


@dataclass(frozen=True)
class Models:
    """What is normal in each view, and the map; `detail` and `fine` only where it has a share of them."""

    bank: Bank
    layout: PositionGaussians
    detail: PositionGaussians | None
    fine: SharedGaussians | None
    terms: MapTerms
    maps: MapMaker
    fine_maps: MapMaker | None

    def graph(self, embedding: bytes) -> bytes:
        """A joint embedding's graph with distances and the map behind it."""
        edited = Graph.parse(embedding)
        grid = self.maps.grid
        append_nearest(edited, EMBEDDING, self.bank, grid)
        some = append_every_second(edited, EMBEDDING, f"{LAYOUT}/every_second")
        some_grid = ((grid[0] + 1) // 2, (grid[1] + 1) // 2)
        append_gaussians(edited, some, self.layout, some_grid, LAYOUT)
        first, second, third = self.terms.factors
        finer = None
        if self.fine is not None and self.fine_maps is not None:
            append_shared(edited, FINE, self.fine, self.fine_maps.grid)
            finer = (FINE_DISTANCE, third, self.fine_maps)
        coarse = [(NEAREST, first)]
        if self.detail is not None:
            append_gaussians(edited, DETAIL, self.detail, grid, UNLIKELY)
            coarse.append((UNLIKELY, second))
        append_map(edited, coarse, self.maps, offset=self.terms.offset, finer=finer)
        shape = [1, *grid]
        return edited.finish(
            [
                (FEATURES, [1, None]),
                (NEAREST, shape),
                (LAYOUT, [1, *some_grid]),
                (MAP, [1, *self.maps.size]),
            ]
        )

    def check(self, network: FeatureNetwork, image: Pixels, views: list[Floats], runtime: Runtime) -> None:
        """Refuse a runtime whose distances disagree with those that the calibration rests on.

        Parameters
        ----------
        network : FeatureNetwork
            With this graph.
        image : prepared image
        views : list of arrays
            What the embedding's graph gave for it.
        """
        embedding, detail, _, *fine = views
        patches = embedding.shape[0] * embedding.shape[1]
        expected = self.bank.nearest(embedding.reshape(patches, -1)).reshape(self.maps.grid)
        some = every_second(embedding)
        likewise = _distances(self.layout, some)
        first, second, third = self.terms.factors
        coarse = first * expected + np.float32(self.terms.offset)
        if self.detail is not None:
            coarse += second * _distances(self.detail, detail)
        drawn = self.maps(coarse)
        if self.fine is not None and self.fine_maps is not None:
            finer = self.fine.distances(fine[0].reshape(-1, fine[0].shape[-1]))
            drawn = drawn + self.fine_maps(third * finer.reshape(self.fine_maps.grid))
        _, nearest, misplaced, anomaly_map = network(image)
        if network.rounds:  # each graph rounds to 8 bits in places of its own
            apart = max(
                _mean_change(nearest, expected),
                _mean_change(misplaced, likewise),
                float(np.abs(anomaly_map - drawn).mean() / max(1e-12, float(drawn.std()))),
            )
            allowed = ROUNDING
        else:
            scale = max(1.0, float(np.abs(embedding).max()))
            highest = max(1.0, scale * first, float(np.abs(drawn).max()))
            apart = max(
                largest_change(nearest, expected) / scale,
                float(np.abs(misplaced - likewise).max()) / max(1.0, float(likewise.max())),
                largest_change(anomaly_map, drawn) / highest,
            )
            allowed = _TOLERANCE
        if not apart <= allowed:
            raise BackboneError(
                f"{runtime.name} finds other distances than the fitted models hold; use another runtime."
            )


def _distances(gaussians: PositionGaussians, grid: Floats) -> Floats:
    """Of features [h, w, c]: [h, w]."""
    along = grid.reshape(1, -1, grid.shape[-1]) @ gaussians.axes
    return gaussians.distances(along).reshape(grid.shape[:2])


def _mean_change(found: Floats, expected: Floats) -> float:
    return float(np.abs(found - expected).mean() / max(1e-12, float(np.abs(expected).mean())))

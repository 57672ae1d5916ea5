"""Views behind a features' graph: the graph that scores, and the proof that it finds what the views say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.network import ROUNDING, FeatureNetwork
from anomalens.detectors.patches.views.maps import MAP, Drawing
from anomalens.detectors.patches.views.view import Floats, Grid, View
from anomalens.errors import BackboneError
from anomalens.job import Job

# Largest difference between the graph's distances and the view's, of the largest: numpy and a runtime
# add in another order, and of two candidates that are as good as equal a search may name the other one.
TOLERANCE: Final = 1e-2
PARITY_IMAGES: Final = 3


@dataclass(frozen=True)
class Placed:
    """A view in a detector's graph.

    Attributes
    ----------
    view : View
    name : str
        What its distances are called, in the graph and in the drawing.
    source : str
        The output of the features' graph that it looks at, [1, h, w, c].
    grid : (int, int)
        Rows and columns of its distances.
    step : int
        2 for a view of every second patch, along both sides.
    shown : bool
        Whether the detector needs its distances, and not their share in the map alone.
    """

    view: View
    name: str
    source: str
    grid: Grid
    step: int = 1
    shown: bool = True


@dataclass(frozen=True)
class Scoring:
    """What stands behind the features.

    Attributes
    ----------
    sources : tuple of str
        The outputs of the features' graph that the views look at.
    placed : tuple of Placed
    drawing : Drawing
    kept : tuple of str
        Sources that the detector needs as they are.
    """

    sources: tuple[str, ...]
    placed: tuple[Placed, ...]
    drawing: Drawing
    kept: tuple[str, ...] = ()

    def network(self, features: FeatureNetwork, images: TrainingImages, job: Job) -> FeatureNetwork:
        """The features' network with the views and the map behind it: image → kept, shown, map.

        Raises
        ------
        BackboneError
            The runtime finds other distances than the views, which the calibration rests on. bfloat16 is
            judged by its drift instead.
        """
        found = features.with_graph(self._graph(features.graph), runtime=job.runtime)
        if job.runtime.precision == "float32":
            for image in islice(images, PARITY_IMAGES):
                given = features.named(image, self.sources)
                answer = found.named(image, self._outputs)
                size = max(float(np.abs(values).max()) for values in given.values())
                if not self._agree(self._expected(given), answer, size, rounds=found.rounds):
                    raise BackboneError(
                        f"{job.runtime.name} finds other distances than the fitted models hold; use another "
                        "runtime."
                    )
        return found

    @property
    def _outputs(self) -> tuple[str, ...]:
        return (*self.kept, *(one.name for one in self.placed if one.shown), MAP)

    def _graph(self, features: bytes) -> bytes:
        graph = Graph.parse(features)
        for one in self.placed:
            source = one.source
            if one.step > 1:
                ends, steps = [2**31 - 1] * 2, [one.step] * 2
                source = graph.add("Slice", [source, [0, 0], ends, [1, 2], steps], f"{one.name}/some")
            one.view.append(graph, source, one.name, one.grid)
        self.drawing.append(graph)
        return graph.finish([(name, None) for name in self._outputs])

    def _expected(self, given: Mapping[str, Floats]) -> dict[str, Floats]:
        """What the views say of one image's features."""
        grids: dict[str, Floats] = {}
        for one in self.placed:
            some = given[one.source][:: one.step, :: one.step]
            grids[one.name] = one.view.distances(some.reshape(-1, some.shape[-1])).reshape(one.grid)
        return {**grids, MAP: self.drawing(grids)}

    def _agree(
        self, expected: Mapping[str, Floats], found: Mapping[str, Floats], size: float, *, rounds: bool
    ) -> bool:
        """Whether what a graph found is what the views say, of features up to this size."""
        for name, values in found.items():
            if name in self.kept:
                continue
            apart = np.abs(values - expected[name])
            if rounds:  # in 8 bits each graph rounds in places of its own
                scale = float(expected[name].std() if name == MAP else expected[name].mean())
                near = float(apart.mean()) <= ROUNDING * max(scale, 1e-12)
            else:
                # distances below a hundredth of the features' size may be nothing but rounding
                scale = max(float(np.abs(expected[name]).max()), TOLERANCE * size)
                near = float(np.quantile(apart, 0.99)) <= TOLERANCE * scale
            if not near:
                return False
        return True

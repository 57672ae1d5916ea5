"""Views behind a network: the graph finds what the views say, or the fit says that it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.views.maps import MAP, Drawing, MapMaker, Term
from anomalens.detectors.patches.views.scoring import Placed, Scoring
from anomalens.detectors.patches.views.view import Floats, Grid, View, as_grid
from anomalens.errors import BackboneError
from anomalens.job import Job

SIZE = (128, 128)
GRID = (16, 16)
JOB = Job(Runtime())


@dataclass(frozen=True)
class Norms(View):
    """The size of the features; as nodes, of some patches five more."""

    wrong: int = 0

    def distances(self, x: Floats) -> Floats:
        return np.asarray(np.sqrt((x**2).sum(1)), np.float32)

    def append(self, graph: Graph, source: str, name: str, grid: Grid) -> str:
        rows = graph.add("Reshape", [source, [grid[0] * grid[1], -1]], f"{name}/rows")
        squared = graph.reduce("ReduceSumSquare", rows, f"{name}/squared", axis=1, keep=True)
        more = np.zeros((1, *grid), np.float32)
        more.flat[: self.wrong] = 5
        right = as_grid(graph, squared, f"{name}/right", grid)
        return graph.add("Add", [right, more], name)


class OtherDrawing(Drawing):
    """A map whose nodes draw something else."""

    def append(self, graph: Graph) -> str:
        return Drawing(self.terms, self.offset + 5).append(graph)


@pytest.fixture(scope="module")
def images() -> TexturedImages:
    return TexturedImages.make(2, SIZE, seed=0)


@pytest.fixture(scope="module")
def features(images: TexturedImages) -> FeatureNetwork:
    return FeatureNetwork.from_backbone(
        "efficientnet-lite0", (), neighbourhood=3, size=SIZE, runtime=JOB.runtime
    )


def scoring(wrong: int = 0, step: int = 1) -> Scoring:
    grid = (GRID[0] // step, GRID[1] // step)
    drawing = Drawing((Term("norms", 0.5, MapMaker(grid, SIZE, 2.0)),), 1.0)
    return Scoring((EMBEDDING,), (Placed(Norms(wrong), "norms", EMBEDDING, grid, step),), drawing)


@pytest.mark.parametrize("step", [1, 2])
def test_the_graph_gives_what_the_views_and_the_drawing_say(
    step: int, features: FeatureNetwork, images: TexturedImages
) -> None:
    network = scoring(step=step).network(features, images, JOB)
    image = next(iter(images))
    found = network.named(image, ["norms", MAP])
    some = features(image)[0][::step, ::step]
    grid = np.linalg.norm(some, axis=2)
    np.testing.assert_allclose(found["norms"], grid, rtol=1e-4)
    drawn = MapMaker(grid.shape, SIZE, 2.0)(0.5 * grid + 1)
    np.testing.assert_allclose(found[MAP], drawn, rtol=1e-4)


@pytest.mark.parametrize(("wrong", "refused"), [(0, False), (1, False), (8, True), (16 * 16, True)])
def test_a_graph_that_finds_other_distances_is_refused_and_a_swapped_candidate_is_not(
    wrong: int, refused: bool, features: FeatureNetwork, images: TexturedImages
) -> None:
    sharp = scoring(wrong)
    alone = replace(sharp, drawing=Drawing((Term("right", 1.0, MapMaker(GRID, SIZE, 2.0)),)))
    alone = replace(alone, placed=(*sharp.placed, Placed(Norms(), "right", EMBEDDING, GRID, shown=False)))
    if refused:
        with pytest.raises(BackboneError, match="finds other distances"):
            alone.network(features, images, JOB)
    else:
        alone.network(features, images, JOB)


def test_a_graph_that_draws_another_map_is_refused(features: FeatureNetwork, images: TexturedImages) -> None:
    usual = scoring()
    other = replace(usual, drawing=OtherDrawing(usual.drawing.terms, usual.drawing.offset))
    with pytest.raises(BackboneError, match="finds other distances"):
        other.network(features, images, JOB)

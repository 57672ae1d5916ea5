"""PatchCore's score is that of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime
from anomalens.detectors import Batch, State
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.patches.patchcore import PatchCore, PatchCoreSettings
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.maps import Drawing, MapMaker, Term
from anomalens.job import Job

SIZE = (64, 64)


@pytest.fixture(scope="module")
def fitted() -> PatchCore:
    detector = PatchCore(PatchCoreSettings(min_bank=40, n_neighbors=4))
    detector.fit(TexturedImages.make(6, SIZE, seed=0), Job(Runtime()))
    return detector


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    (pixels,) = TexturedImages.make(1, SIZE, seed=7)
    return np.asarray(pixels)


def with_bank(detector: PatchCore, bank: np.ndarray, **numbers: Any) -> PatchCore:
    state = detector.state()
    values = {**state.numbers, **numbers}
    grid = tuple(values["grid"])
    graph = Graph.parse(state.graphs["patches"])
    graph = Graph.parse(graph.finish([("embedding", None)]))
    Bank(bank.astype(np.float32)).append(graph, "embedding", "nearest", grid)
    Drawing((Term("nearest", 1.0, MapMaker(grid, SIZE, values["sigma"])),)).append(graph)
    searched = graph.finish([(name, None) for name in ("embedding", "nearest", "anomaly_map")])
    changed = State(values, {"bank": bank}, {"patches": searched})
    return PatchCore.from_state(changed, size=SIZE, runtime=Runtime())


def paper(patches: np.ndarray, bank: np.ndarray, b: int) -> float:
    """Equations 6 and 7 in float64, every distance."""
    to_bank = np.linalg.norm(patches[:, None].astype(float) - bank[None], axis=2)
    worst = int(to_bank.min(1).argmax())
    nearest = int(to_bank[worst].argmin())
    around = np.linalg.norm(bank.astype(float) - bank[nearest], axis=1)
    crowd = np.exp(to_bank[worst][np.argsort(around)[:b]])
    weight = 1 - np.exp(to_bank[worst, nearest]) / crowd.sum()
    return float(weight * to_bank[worst, nearest])


@pytest.mark.parametrize("b", [2, 4, 9])
def test_the_image_score_is_equation_six_and_seven(b: int, fitted: PatchCore, image: np.ndarray) -> None:
    bank = fitted.bank_.vectors
    detector = with_bank(fitted, bank, n_neighbors=b)
    patches = fitted.look(image)["embedding"].reshape(64, -1)
    score = detector.score(Batch([image], ["one"])).image[0]
    assert score == pytest.approx(paper(patches, bank, b), rel=1e-4)


def test_one_neighbour_switches_the_weight_off(fitted: PatchCore, image: np.ndarray) -> None:
    bank = fitted.bank_.vectors
    plain = with_bank(fitted, bank, n_neighbors=1).score(Batch([image], ["one"])).image[0]
    patches = fitted.look(image)["embedding"].reshape(64, -1).astype(float)
    nearest = np.linalg.norm(patches[:, None] - bank[None], axis=2).min(1)
    assert plain == pytest.approx(nearest.max(), rel=1e-4)


def test_a_bank_of_one_vector_scores(fitted: PatchCore, image: np.ndarray) -> None:
    scores = with_bank(fitted, fitted.bank_.vectors[:1]).score(Batch([image], ["one"]))
    assert scores.image[0] > 0


def test_very_distant_neighbours_give_a_weight_of_one(fitted: PatchCore, image: np.ndarray) -> None:
    """exp(709) is the largest there is; a network without a bounded output soon exceeds it."""
    bank = fitted.bank_.vectors[:5] * np.float32(1e5) * np.arange(1, 6, dtype=np.float32)[:, None]
    many = with_bank(fitted, bank).score(Batch([image], ["one"])).image[0]
    plain = with_bank(fitted, bank, n_neighbors=1).score(Batch([image], ["one"])).image[0]
    assert many == pytest.approx(plain)


def test_the_map_is_the_patch_scores_enlarged(fitted: PatchCore, image: np.ndarray) -> None:
    sharp = with_bank(fitted, fitted.bank_.vectors, sigma=0.0)
    maps = sharp.score(Batch([image], ["one"])).maps
    assert maps is not None
    patches = fitted.bank_.distances(fitted.look(image)["embedding"].reshape(64, -1)).reshape(8, 8)
    assert maps[0].max() <= patches.max() + 1e-4
    # 8 pixels a patch and half-pixel centres: the mean of the four middle pixels is close to it
    middle = maps[0].reshape(8, 8, 8, 8)[:, 3:5, :, 3:5].mean((1, 3))
    np.testing.assert_allclose(middle[1:-1, 1:-1], patches[1:-1, 1:-1], rtol=0.1)


def test_the_bank_is_made_of_patches_of_the_normal_images(fitted: PatchCore) -> None:
    images = TexturedImages.make(6, SIZE, seed=0)
    patches = np.concatenate([fitted.look(pixels)["embedding"].reshape(64, -1) for pixels in images])
    distances = np.abs(fitted.bank_.vectors[:, None] - patches[None]).max(2)
    assert distances.min(1).max() <= 2**-11 * patches.max()  # held in float16
    assert len(fitted.bank_) == 40


def test_distances_in_a_steady_scene_are_those_of_the_nearest_patches() -> None:
    """One picture like the next: what a search along few axes leaves out is as large as the distances."""
    (first,) = TexturedImages.make(1, (64, 96), seed=1)
    scene = np.asarray(first, np.float32)
    noise = np.random.default_rng(0).normal(0, 1, (26, *scene.shape))
    steady = np.clip(scene + noise, 0, 255).round().astype(np.uint8)
    detector = PatchCore(PatchCoreSettings())
    detector.fit(TexturedImages(steady[:20], np.arange(20)), Job(Runtime()))
    rows = np.concatenate([detector.look(image)["embedding"].reshape(-1, 152) for image in steady[20:]])
    exact = np.array([np.linalg.norm(detector.bank_.vectors - row, axis=1).min() for row in rows])
    found = detector.bank_.distances(rows)
    assert (found > exact * (1 - 1e-4)).all()
    assert found.mean() < 1.005 * exact.mean()
    assert (found / exact).max() < 1.1

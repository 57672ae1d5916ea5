"""PatchCore's score is that of the paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.runtimes import Runtime
from anomalens.detectors import Batch, State
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.patches.bank import Bank
from anomalens.detectors.patches.maps import MapMaker
from anomalens.detectors.patches.patchcore import PatchCore, PatchCoreSettings
from anomalens.detectors.patches.search_graph import append_search
from anomalens.errors import BackboneError
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
    maps = MapMaker(tuple(values["grid"]), SIZE, values["sigma"])
    features_only = Graph.parse(state.graphs["patches"]).finish([("embedding", None)])
    graphs = {"patches": append_search(features_only, Bank(bank.astype(np.float32)), maps)}
    changed = State(values, {"bank": bank}, graphs)
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
    patches = fitted._embed(image).reshape(-1, bank.shape[1])
    score = detector.score(Batch([image], ["one"])).image[0]
    assert score == pytest.approx(paper(patches, bank, b), rel=1e-4)


def test_one_neighbour_switches_the_weight_off(fitted: PatchCore, image: np.ndarray) -> None:
    bank = fitted.bank_.vectors
    plain = with_bank(fitted, bank, n_neighbors=1).score(Batch([image], ["one"])).image[0]
    patches = fitted._embed(image).reshape(-1, bank.shape[1]).astype(float)
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
    patches = fitted.bank_.nearest(fitted._embed(image).reshape(64, -1)).reshape(8, 8)
    assert maps[0].max() <= patches.max() + 1e-4
    # 8 pixels a patch and half-pixel centres: the mean of the four middle pixels is close to it
    middle = maps[0].reshape(8, 8, 8, 8)[:, 3:5, :, 3:5].mean((1, 3))
    np.testing.assert_allclose(middle[1:-1, 1:-1], patches[1:-1, 1:-1], rtol=0.1)


def test_the_bank_is_made_of_patches_of_the_normal_images(fitted: PatchCore) -> None:
    images = TexturedImages.make(6, SIZE, seed=0)
    patches = np.concatenate([fitted._embed(pixels).reshape(64, -1) for pixels in images])
    distances = np.abs(fitted.bank_.vectors[:, None] - patches[None]).max(2)
    assert distances.min(1).max() <= 2**-11 * patches.max()  # held in float16
    assert len(fitted.bank_) == 40


@pytest.mark.parametrize(("wrong", "refused"), [(0, False), (1, False), (8, True), (16 * 16, True)])
def test_a_runtime_that_finds_other_distances_is_refused_and_a_swapped_candidate_is_not(
    fitted: PatchCore, image: np.ndarray, monkeypatch: pytest.MonkeyPatch, wrong: int, refused: bool
) -> None:
    features, found, drawn = fitted._network(image)
    features, found = (np.tile(values, (2, 2, *[1] * (values.ndim - 2))) for values in (features, found))
    found.flat[:wrong] += 5
    monkeypatch.setattr(fitted, "_network", lambda _: [features, found, drawn])
    monkeypatch.setattr(fitted, "_grid", found.shape)
    if refused:
        with pytest.raises(BackboneError, match="finds other distances"):
            fitted._check_search(image, Runtime())
    else:
        fitted._check_search(image, Runtime())

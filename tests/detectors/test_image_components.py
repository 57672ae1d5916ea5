"""Principal components of whole images, and what they leave of patches."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.patches.views.image_components import split_off_components
from anomalens.detectors.patches.views.position_gaussians import PositionGaussians
from anomalens.detectors.patches.views.position_view import PositionView

N, POSITIONS, FEATURES = 40, 130, 6


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    """Five causes that move all patches together, and noise."""
    common = rng.normal(size=(N, 5)) @ rng.normal(size=(5, POSITIONS * FEATURES))
    noise = 0.3 * rng.normal(size=(N, POSITIONS * FEATURES))
    return (common + noise + 5).reshape(N, POSITIONS, FEATURES).astype(np.float16)


def rests_by_svd(known: np.ndarray, x: np.ndarray, count: int) -> np.ndarray:
    known, flat = (a.reshape(len(a), POSITIONS * FEATURES).astype(np.float64) for a in (known, x))
    mean = known.mean(0)
    basis = np.linalg.svd(known - mean, full_matrices=False)[2][:count]
    most = 3 * ((known - mean) @ basis.T).std(0)
    centred = flat - mean
    return (centred - np.clip(centred @ basis.T, -most, most) @ basis).reshape(x.shape)


def test_components_leave_what_the_singular_vectors_of_other_folds_leave(
    images: np.ndarray, rng: np.random.Generator
) -> None:
    folds = np.arange(N) % 5
    others = (images[:7] + 0.1 * rng.normal(size=images[:7].shape)).astype(np.float16)
    other_folds = np.array([0, 0, 1, 2, 4, 7, 7])  # 7: of no image, so judged by all
    x, y = images.copy(), others.copy()
    model = split_off_components(x, folds, 5, also=[(y, other_folds)])
    assert model is not None
    for fold in range(8):
        known = images[folds != fold]
        for found, whole, owners in ((x, images, folds), (y, others, other_folds)):
            held = owners == fold
            expected = rests_by_svd(known, whole[held], 5)
            np.testing.assert_allclose(found[held], expected, atol=5e-3)
    np.testing.assert_allclose(model.basis @ model.basis.T, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(model.rests(others), rests_by_svd(images, others, 5), atol=5e-3)


def test_no_more_components_than_half_the_images(images: np.ndarray) -> None:
    x = images[:10].copy()
    model = split_off_components(x, np.arange(10) % 5, 32)
    assert model is not None and len(model.basis) == 4  # of the eight that are left without a fold
    x = images[:3].copy()
    assert split_off_components(x, np.arange(3), 32) is not None
    x = images[:2].copy()
    assert split_off_components(x, np.arange(2), 32) is None and (x == images[:2]).all()
    assert split_off_components(x, np.zeros(2, int), 32) is None
    assert split_off_components(x, np.arange(2), 0) is None


def test_equal_images_leave_nothing() -> None:
    x = np.ones((8, 5, 3), np.float16)
    model = split_off_components(x, np.arange(8) % 4, 4)
    assert model is not None and (x == 0).all() and (model.basis == 0).all()


def test_a_patch_that_does_not_go_with_the_rest_stands_out_only_with_components(
    images: np.ndarray, rng: np.random.Generator
) -> None:
    folds = np.arange(N) % 5
    swapped = images[0].copy()
    swapped[7] = images[1][7]  # normal there, but not in this image
    ranks = []
    for components in (0, 5):
        view = PositionView(images, folds, dimensions=6, components=components, seed=0)
        distances = view.distances(swapped.astype(np.float32))
        ranks.append(int((distances > distances[7]).sum()))
    assert ranks[1] == 0 < ranks[0]


def test_what_no_normal_image_shows_is_not_explained(images: np.ndarray) -> None:
    """An image that lies far out along a component would look normal if all of it were taken off."""
    folds = np.arange(N) % 5
    view = PositionView(images, folds, dimensions=6, components=5, seed=0)
    mean = images.mean(0, dtype=np.float32)
    typical = np.median([view.distances(x.astype(np.float32)).mean() for x in images])
    far = mean + 4 * (images[0].astype(np.float32) - mean)
    assert view.distances(far).mean() > 3 * typical


def test_left_out_distances_are_those_of_a_model_of_the_other_folds(images: np.ndarray) -> None:
    folds, owners = np.arange(N) % 4, np.array([1, 9])  # 9: a fold of no image
    also = (images[[0, 5]].copy(), owners)
    view = PositionView(images, folds, dimensions=6, components=4, seed=0, also=also)
    found, beside = view.left_out()
    rests = view.rests
    for place, fold in ((found[folds == 1], 1), (beside[:1], 1), (beside[1:], 9)):
        known = folds != fold
        model = PositionGaussians.fit(rests[known], view.gaussians.axes)
        x = images[folds == 1] if len(place) > 1 else images[[0 if fold == 1 else 5]]
        along = (x.astype(np.float32) @ view.gaussians.axes).astype(np.float16)
        whole = (images.astype(np.float32) @ view.gaussians.axes).astype(np.float16)
        expected = model.distances_of_rests(rests_by_svd(whole[known], along, 4).astype(np.float32))
        np.testing.assert_allclose(place, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("far", [1.0, 20.0])
def test_the_graph_takes_off_what_numpy_does(images: np.ndarray, far: float) -> None:
    """With far = 20 the components are at their limit."""
    side = (13, 10)
    gaussians = PositionView(images, np.arange(N) % 5, dimensions=6, components=5, seed=0).gaussians
    source = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *side, FEATURES])
    target = helper.make_tensor_value_info("same", TensorProto.FLOAT, [1, *side, FEATURES])
    same = helper.make_graph([helper.make_node("Identity", ["image"], ["same"])], "one", [source], [target])
    model = helper.make_model(same, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    edited = Graph.parse(model.SerializeToString())
    gaussians.append(edited, "same", "layout", side)
    session = onnxruntime.InferenceSession(edited.finish([("layout", [1, *side])]))
    mean = images.mean(0, dtype=np.float32)
    x = mean + far * (images[3].astype(np.float32) - mean)
    (found,) = session.run(None, {"image": x.reshape(1, *side, FEATURES)})
    assert gaussians.components is not None
    centred = (x @ gaussians.axes - gaussians.components.mean).ravel()
    beyond = np.abs(gaussians.components.basis @ centred) > gaussians.components.most
    assert beyond.any() == (far > 1)
    np.testing.assert_allclose(found.ravel(), gaussians.distances(x), rtol=1e-2)


def test_images_of_one_fold_are_not_judged_and_others_are_by_the_model_of_all(images: np.ndarray) -> None:
    also = (images[:2], np.zeros(2, int))
    view = PositionView(images[2:], np.zeros(N - 2, int), dimensions=6, components=4, seed=0, also=also)
    assert view.gaussians.components is None
    found, beside = view.left_out()
    assert np.isnan(found).all()
    np.testing.assert_allclose(beside[0], view.distances(images[0].astype(np.float32)), rtol=2e-2)

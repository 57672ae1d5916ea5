"""Gaussians at positions, each with a covariance of its own or all with one: their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens.detectors.patches.views.axes import leading_axes
from anomalens.detectors.patches.views.position_gaussians import PositionGaussians, Scatter
from anomalens.detectors.patches.views.shared_gaussians import SharedMoments


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_gaussian_of_a_position_is_the_formula(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(3, 5, 5)) * [0.2, 1, 3, 1, 0.5]
    x = np.einsum("npk,pkl->npl", rng.normal(size=(40, 3, 5)), mixing).astype(np.float32)
    model = PositionGaussians.fit(x, np.eye(5, dtype=np.float32), scatter=Scatter(0.1, 0.25, 2))
    own = np.stack([np.cov(x[:, p].T) for p in range(3)])
    shared = own.mean(0)
    shared += 0.1 * np.trace(shared) / 5 * np.eye(5)
    values, vectors = np.linalg.eigh(shared)
    root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
    for p in range(3):
        values, vectors = np.linalg.eigh(0.75 * inverse @ own[p] @ inverse + 0.25 * np.eye(5))
        values[:3] = 1
        covariance = root @ (vectors * np.maximum(values, 1) @ vectors.T) @ root
        centred = x[:, p] - x[:, p].mean(0)
        expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, np.linalg.inv(covariance), centred))
        np.testing.assert_allclose(model.distances_of_rests(x)[:, p], expected, rtol=1e-3)


def test_gaussians_with_one_covariance_are_the_formula_and_leave_a_fold_out(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(4, 4))
    x = (rng.normal(size=(30, 50, 4)) @ mixing + rng.normal(size=(1, 50, 4)) + 1000).astype(np.float32)
    folds = np.arange(30) % 3
    moments = SharedMoments(3)
    for image, fold in zip(x, folds, strict=True):
        moments.add(image, int(fold))
    residuals = (x - x.mean(0)).reshape(-1, 4)
    covariance = residuals.T @ residuals / (50 * 29)
    covariance += np.trace(covariance) / 4 * np.eye(4)
    for without, known in ((None, x), (1, x[folds != 1])):
        centred = x[0] - known.mean(0)
        expected = np.sqrt(np.einsum("pi,ij,pj->p", centred, np.linalg.inv(covariance), centred))
        np.testing.assert_allclose(moments.gaussians(without).distances(x[0]), expected, rtol=1e-3)


def test_a_fold_of_all_images_keeps_its_mean() -> None:
    moments = SharedMoments(1)
    moments.add(np.ones((3, 2), np.float32), 0)
    # nothing varies: deviations count in ten-thousandths of the features' size
    np.testing.assert_allclose(
        moments.gaussians(0).distances(np.full((3, 2), 2.0)), 10_000 * np.sqrt(2), rtol=1e-4
    )


@pytest.mark.parametrize("copies", [1, 7])
def test_images_that_do_not_differ_give_finite_distances(copies: int, rng: np.random.Generator) -> None:
    x = np.repeat(rng.normal(size=(1, 2, 3)).astype(np.float32), copies, 0)
    model = PositionGaussians.fit(x, np.eye(3, dtype=np.float32))
    size = np.sqrt((x[0] ** 2).mean())
    np.testing.assert_allclose(model.distances_of_rests(x + 1), 10_000 / size * np.sqrt(3), rtol=1e-2)
    assert model.distances_of_rests(x).max() < 1
    empty = PositionGaussians.fit(0 * x, np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(empty.distances_of_rests(0 * x + 1), np.sqrt(3), rtol=1e-6)


def test_principal_axes_are_orthonormal_and_carry_the_most_variance(rng: np.random.Generator) -> None:
    x = (rng.normal(size=(500, 6)) * [9, 1, 5, 1, 1, 1]).astype(np.float32)
    axes = leading_axes(x, 2, seed=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(np.abs(axes[[0, 2]]), np.eye(2), atol=0.1)

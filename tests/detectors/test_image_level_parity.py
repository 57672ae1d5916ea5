"""Our scores, rebuilt from arrays, are those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf, oas
from sklearn.ensemble import IsolationForest
from sklearn.kernel_approximation import Nystroem
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors import load_detector
from anomalens.detectors.density.kde import likeliest_bandwidth
from anomalens.detectors.features.covariance import moments, principal_axes, shrunk, whitener
from anomalens.detectors.features.space import FeatureSpace
from anomalens.detectors.oneclass import ocsvm
from anomalens.job import Job


def cloud(n: int, d: int, seed: int) -> np.ndarray:
    """Correlated vectors far from nought, some of them copies."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d))
    x = (rng.standard_t(5, (n, d)) @ mixing + 30).astype(np.float32)
    x[: n // 20] = x[n // 20 : 2 * (n // 20)]
    return x


TRAIN, TEST = cloud(400, 12, 0), cloud(100, 12, 1)
TEST[:10] = TRAIN[:10]


def ours(name: str, **parameters: Any) -> np.ndarray:
    kind = load_detector(name)
    found = kind(kind.settings_type(**parameters))
    head = found.learn(TRAIN, np.arange(len(TRAIN)), Job(Runtime()))
    rebuilt = kind.head_from(head.numbers(), head.arrays())
    scores = rebuilt.scores(TEST)
    assert scores.dtype == np.float64
    one_by_one = np.concatenate([rebuilt.scores(row[None]) for row in TEST])
    np.testing.assert_allclose(scores, one_by_one, rtol=1e-5, atol=1e-6)
    return scores


def close(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distance", ["mean", "kth"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 5])
def test_knn(k: int, metric: str, distance: str) -> None:
    found, _ = (
        NearestNeighbors(n_neighbors=k, metric=metric).fit(TRAIN.astype(float)).kneighbors(TEST.astype(float))
    )
    expected = found.mean(1) if distance == "mean" else found[:, -1]
    close(ours("knn", n_neighbors=k, metric=metric, distance=distance), expected)


@pytest.mark.parametrize("k", [3, 20])
def test_lof(k: int) -> None:
    expected = (
        -LocalOutlierFactor(n_neighbors=k, novelty=True)
        .fit(TRAIN.astype(float))
        .score_samples(TEST.astype(float))
    )
    close(ours("lof", n_neighbors=k), expected)


@pytest.mark.parametrize("h", [2.0, 5.0, 50.0])
def test_kde(h: float) -> None:
    squared = ((TEST[:, None].astype(float) - TRAIN[None]) ** 2).sum(2)
    constant = np.log(len(TRAIN)) + 12 * np.log(h) + 6 * np.log(2 * np.pi)
    found = ours("kde", bandwidth=h)
    np.testing.assert_allclose(found, constant - logsumexp(-squared / (2 * h**2), axis=1), rtol=1e-7)
    # its trees add up logarithms of many partial sums, which costs it digits
    theirs = -KernelDensity(bandwidth=h).fit(TRAIN.astype(float)).score_samples(TEST.astype(float))
    np.testing.assert_allclose(found, theirs, rtol=1e-4)


@pytest.mark.parametrize(("name", "function"), [("ledoit-wolf", ledoit_wolf), ("oas", oas)])
@pytest.mark.parametrize("n", [400, 9])
def test_gaussian(name: str, function: Any, n: int) -> None:
    x = TRAIN[:n].astype(float)
    expected, _ = function(x)
    found = shrunk(TRAIN[:n], moments(TRAIN[:n])[0], name)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
    if n == 400:
        delta = TEST - x.mean(0)
        mahalanobis = np.sqrt(np.einsum("ij,jk,ik->i", delta, np.linalg.inv(expected), delta))
        close(ours("gaussian", shrinkage=name), mahalanobis)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_gmm(k: int) -> None:
    ridge = 1e-2 * float(TRAIN.astype(float).var(0).mean())
    mixture = GaussianMixture(k, reg_covar=ridge, max_iter=50, random_state=0, tol=1e-3)
    expected = -mixture.fit(TRAIN.astype(float)).score_samples(TEST.astype(float))
    np.testing.assert_allclose(ours("gmm", n_components=k), expected, rtol=1e-5)


def test_pca() -> None:
    from sklearn.decomposition import PCA

    model = PCA(0.9, svd_solver="full").fit(TRAIN.astype(float))
    rest = TEST - model.inverse_transform(model.transform(TEST.astype(float)))
    close(ours("pca", variance=0.9), np.linalg.norm(rest, axis=1))


@pytest.mark.parametrize(("nu", "gamma"), [(0.05, 0.001), (0.3, 0.01)])
def test_ocsvm(nu: float, gamma: float) -> None:
    machine = OneClassSVM(nu=nu, gamma=gamma).fit(TRAIN.astype(float))
    rho = -machine.intercept_[0]
    found = ours("ocsvm", nu=nu, gamma=gamma)
    close(rho * (np.exp(-found) - 1), machine.decision_function(TEST.astype(float)))


def test_ocsvm_by_landmarks_is_a_linear_machine_on_nystroem_features() -> None:
    exact = ocsvm.exact(TRAIN, 0.002, 0.1, 0).scores(TEST)
    approximate = ocsvm.by_landmarks(TRAIN, 0.002, 0.1, 0, count=400).scores(TEST)
    assert np.corrcoef(exact, approximate)[0, 1] > 0.9
    # with all images as landmarks, our way to the kernel's root is scikit-learn's
    bank = ocsvm.Neighbours(TRAIN)
    values, axes = np.linalg.eigh(np.exp(-0.002 * bank.squared(TRAIN)))
    mapped = np.exp(-0.002 * bank.squared(TEST)) @ (axes / np.sqrt(np.maximum(values, 1e-10)) @ axes.T)
    theirs = Nystroem(gamma=0.002, n_components=400, random_state=0).fit(TRAIN.astype(float)).transform(TEST)
    np.testing.assert_allclose(mapped @ mapped.T, theirs @ theirs.T, atol=1e-3)


@pytest.mark.parametrize(("trees", "samples"), [(50, 256), (20, 64), (3, 2)])
def test_iforest(trees: int, samples: int) -> None:
    forest = IsolationForest(n_estimators=trees, max_samples=samples, random_state=0).fit(TRAIN)
    close(ours("iforest", n_estimators=trees, max_samples=samples), -forest.score_samples(TEST))


def test_the_bandwidth_is_likelier_than_its_neighbours_and_heeds_groups() -> None:
    x = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    h = likeliest_bandwidth(x, np.arange(300))
    held_out = np.random.default_rng(1).normal(size=(300, 4))
    likelihood = [KernelDensity(bandwidth=b).fit(x).score(held_out) for b in (h / 2, h, 2 * h)]
    assert likelihood[1] > max(likelihood[0], likelihood[2])
    twice = np.concatenate([x, x + np.float32(1e-4)])
    groups = np.tile(np.arange(300), 2)
    assert likeliest_bandwidth(twice, groups) == pytest.approx(h, rel=0.1)
    assert likeliest_bandwidth(twice, np.arange(600)) < h / 5


@pytest.mark.parametrize("n", [7, 200])
def test_principal_axes_are_orthonormal_and_in_order(n: int) -> None:
    axes, variances = principal_axes(TRAIN[:n], 5)
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-6)
    exact = np.linalg.svd(TRAIN[:n] - TRAIN[:n].mean(0, dtype=float), compute_uv=False) ** 2 / n
    np.testing.assert_allclose(variances, exact[:5], rtol=1e-4)


def test_whitened_features_vary_equally_in_all_directions() -> None:
    many = cloud(4000, 6, 3)
    z = FeatureSpace.learn(many, scaling="whiten", components=0).apply(many).astype(float)
    np.testing.assert_allclose(np.cov(z.T), np.eye(6), atol=0.15)


def test_a_singular_covariance_has_a_whitener() -> None:
    x = np.repeat(TRAIN[:, :3], 2, axis=1)
    w = whitener(shrunk(x, moments(x)[0], "none"))
    assert np.isfinite(w).all()
    np.testing.assert_array_equal(whitener(np.zeros((3, 3))), np.eye(3))


def test_components_keep_what_they_leave_out_as_one_length() -> None:
    flat = TRAIN[:, :2] @ np.random.default_rng(0).normal(size=(2, 12)).astype(np.float32)
    space = FeatureSpace.learn(flat, scaling="none", components=2)
    inside, outside = space.apply(flat), space.apply(flat + TEST[:1])
    assert np.abs(inside[:, 2]).max() < 1e-2
    assert outside[:, 2].min() > 1

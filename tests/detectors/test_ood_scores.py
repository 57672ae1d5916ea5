"""Scores of what belongs to no class: each against a plain computation of its formula, and on real images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.covariance import ledoit_wolf

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.classifier.outputs import LastLayer, Outputs
from anomalens.detectors.classifier.scores import SCORES, load_score
from anomalens.detectors.classifier.scores.knn_ood import kept_rows
from anomalens.detectors.features.pretrained import PooledNetwork
from anomalens.errors import SettingError
from anomalens.metrics.ranking import auroc

Floats = NDArray[np.float64]
N, C, D = 90, 4, 7


class Case:
    """Random known images (class means apart), others to score, and a last layer."""

    def __init__(self, seed: int = 0, n: int = N, d: int = D) -> None:
        rng = np.random.default_rng(seed)
        self.labels = np.concatenate([np.arange(C), rng.integers(0, C, n - C)])
        means = 3 * rng.standard_normal((C, d))
        weight, bias = rng.standard_normal((C, d)), rng.standard_normal(C)
        self.last = LastLayer(weight.astype(np.float32), bias.astype(np.float32))
        self.known = self.outputs(means[self.labels] + rng.standard_normal((n, d)))
        self.others = self.outputs(4 * rng.standard_normal((31, d)))
        self.f = self.known.features.astype(np.float64)
        self.x = self.others.features.astype(np.float64)
        self.z = self.others.logits.astype(np.float64)
        self.w = self.last.weight.astype(np.float64)

    def outputs(self, features: Floats) -> Outputs:
        narrow = features.astype(np.float32)
        return Outputs(self.last.logits(narrow), narrow)

    def scores(self, name: str) -> Floats:
        return load_score(name).learn(self.known, self.labels, self.last).score(self.others)


def softmax(z: Floats) -> Floats:
    shares = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def squared(x: Floats, mean: Floats, precision: Floats) -> Floats:
    return np.array([(row - mean) @ precision @ (row - mean) for row in x])


def class_means(case: Case) -> tuple[Floats, Floats]:
    means = np.stack([case.f[case.labels == k].mean(axis=0) for k in range(C)])
    return means, np.stack([row - means[k] for row, k in zip(case.f, case.labels, strict=True)])


def nearest_class(case: Case) -> Floats:
    means, rest = class_means(case)
    precision = np.linalg.inv(ledoit_wolf(rest, assume_centered=True)[0])
    return np.min([squared(case.x, mean, precision) for mean in means], axis=0)


def relative(case: Case) -> Floats:
    means, rest = class_means(case)
    between = np.cov(means[case.labels].T, bias=True)
    np.testing.assert_allclose(np.cov(rest.T, bias=True) + between, np.cov(case.f.T, bias=True))
    whole = np.linalg.inv(ledoit_wolf(rest, assume_centered=True)[0] + between)
    return nearest_class(case) - squared(case.x, case.f.mean(axis=0), whole)


def neighbours(case: Case) -> Floats:
    known = case.f / np.linalg.norm(case.f, axis=1, keepdims=True)
    return np.array([
        np.sort(np.linalg.norm(known - row / np.linalg.norm(row), axis=1))[0] for row in case.x
    ])  # fmt: skip


def virtual_logit(case: Case) -> Floats:
    origin = np.linalg.lstsq(case.w, -case.last.bias.astype(np.float64), rcond=None)[0]
    _, _, axes = np.linalg.svd(case.f - origin, full_matrices=False)
    rest = axes[D // 2 :].T

    def length(values: Floats) -> Floats:
        return np.asarray(np.linalg.norm((values - origin) @ rest, axis=1))

    alpha = case.known.logits.max(axis=1).mean() / length(case.f).mean()
    return alpha * length(case.x) - np.log(np.exp(case.z).sum(axis=1))


def matching(case: Case) -> Floats:
    known, shares = softmax(case.known.logits.astype(np.float64)), softmax(case.z)
    typical = [known[known.argmax(axis=1) == k].mean(axis=0) for k in set(known.argmax(axis=1).tolist())]
    return np.array([min(np.sum(p * np.log(p / d)) for d in typical) for p in shares])


def boundaries(case: Case) -> Floats:
    found = []
    for row, logits in zip(case.x, case.z, strict=True):
        k = int(logits.argmax())
        others = [j for j in range(C) if j != k]
        far = np.mean([(logits[k] - logits[j]) / np.linalg.norm(case.w[k] - case.w[j]) for j in others])
        found.append(-far / np.linalg.norm(row - case.f.mean(axis=0)))
    return np.array(found)


def collapse(case: Case) -> Floats:
    centred = case.x - case.f.mean(axis=0)
    along = [
        w @ row / np.linalg.norm(row) for w, row in zip(case.w[case.z.argmax(axis=1)], centred, strict=True)
    ]
    return -np.array(along) - 1e-4 * np.abs(case.x).sum(axis=1)


def rectified(case: Case) -> Floats:
    cut = np.sort(case.f.ravel())[int(0.9 * (case.f.size - 1))]  # N · D is one more than a multiple of ten
    return -np.log(np.exp(np.minimum(case.x, cut) @ case.w.T + case.last.bias).sum(axis=1))


def entropy(case: Case) -> Floats:
    p = softmax(case.z)
    return np.asarray((p**0.1 * (1 - p) ** 0.1).sum(axis=1))


PLAIN: dict[str, Callable[[Case], Floats]] = {
    "msp": lambda case: -np.log(softmax(case.z).max(axis=1)),
    "max-logit": lambda case: -case.z.max(axis=1),
    "energy": lambda case: -np.log(np.exp(case.z).sum(axis=1)),
    "odin": lambda case: -np.log(softmax(case.z / 1000).max(axis=1)),
    "gen": entropy,
    "kl-matching": matching,
    "react": rectified,
    "mahalanobis": nearest_class,
    "relative-mahalanobis": relative,
    "knn-ood": neighbours,
    "vim": virtual_logit,
    "nci": collapse,
    "fdbd": boundaries,
}


def test_every_score_is_tested() -> None:
    assert PLAIN.keys() == SCORES.keys()
    with pytest.raises(SettingError, match="did you mean 'energy'"):
        load_score("enrgy")


@pytest.mark.parametrize("name", SCORES)
def test_the_formula(name: str) -> None:
    case = Case(n=93)  # 651 values: the 90th percentile is one of them
    # arrays are kept in float32: that is what 1e-5 allows for
    np.testing.assert_allclose(case.scores(name), PLAIN[name](case), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SCORES)
def test_an_image_is_scored_alone(name: str) -> None:
    case = Case()
    score = load_score(name).learn(case.known, case.labels, case.last)
    together = score.score(case.others)
    assert together.dtype == np.float64 and together.shape == (31,)
    for rows in ([3], [30, 3], [5, 3, 4]):
        some = Outputs(case.others.logits[rows], case.others.features[rows])
        np.testing.assert_allclose(score.score(some), together[rows], rtol=1e-9, atol=1e-12)
    none = Outputs(case.others.logits[:0], case.others.features[:0])
    assert score.score(none).shape == (0,)


@pytest.mark.parametrize("name", SCORES)
def test_rebuilt_from_its_arrays(name: str) -> None:
    case = Case()
    kind = load_score(name)
    assert kind.name == name
    score = kind.learn(case.known, case.labels, case.last)
    again = kind(case.last, {key: value.copy() for key, value in score.arrays.items()})
    np.testing.assert_array_equal(again.score(case.others), score.score(case.others))


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("images", ["fewer than features", "one of a class", "one of each", "all alike"])
def test_few_images(name: str, images: str) -> None:
    case = Case(n=12, d=40) if images == "fewer than features" else Case()
    rows = np.arange(len(case.labels))
    if images == "one of a class":
        rows = np.flatnonzero((case.labels != 2) | (rows == 2))
    elif images == "one of each":
        rows = np.arange(C)
    known = Outputs(case.known.logits[rows], case.known.features[rows])
    if images == "all alike":
        known = Outputs(np.repeat(known.logits[:1], N, 0), np.repeat(known.features[:1], N, 0))
    score = load_score(name).learn(known, case.labels[rows], case.last)
    assert np.isfinite(score.score(case.others)).all()
    assert np.isfinite(score.score(known)).all()


@pytest.mark.parametrize("name", ["msp", "gen"])
def test_what_only_looks_at_shares_keeps_very_sure_predictions_apart(name: str) -> None:
    case = Case()
    logits = np.array([[0, 0, 0, 45], [0, 0, 0, 46]], np.float32)  # 1 in float64, both
    score = load_score(name).learn(case.known, case.labels, case.last)
    sure, surer = score.score(Outputs(logits, np.zeros((2, D), np.float32)))
    assert sure > surer


def test_the_bank_is_bounded_and_keeps_every_class() -> None:
    labels = np.concatenate([np.zeros(900, np.int64), np.ones(99, np.int64), [2]])
    rows = kept_rows(labels, 100)
    counts = np.bincount(labels[rows])
    assert len(rows) == 100 and len(set(rows.tolist())) == 100
    assert counts[2] == 1 and abs(counts[0] - 90) <= 2
    assert kept_rows(labels, 2000).tolist() == list(range(1000))


@pytest.fixture(scope="module")
def real(real_set: Callable[[str], Path]) -> Callable[[str, str, int], tuple[Floats, NDArray[np.int64]]]:
    """A function that gives pooled features [n, d] and labels of the first images of each class."""
    size = (96, 96)
    network = PooledNetwork.from_backbone(
        "efficientnet-lite0", ("stride16", "stride32"), ("mean",), size=size, runtime=Runtime()
    )

    def read(name: str, part: str, each: int) -> tuple[Floats, NDArray[np.int64]]:
        with np.load(next(real_set(name).glob("*.npz"))) as file:
            images, labels = file[f"x_{part}"], file[f"y_{part}"].astype(np.int64)
        rows = np.concatenate([np.flatnonzero(labels == k)[:each] for k in np.unique(labels)])
        large = (Image.fromarray(images[row]).resize(size, Image.Resampling.BICUBIC) for row in rows)
        return np.stack([network(np.asarray(image)) for image in large]), labels[rows]

    return read


def test_textures_are_no_animals_and_no_vehicles(
    real: Callable[[str, str, int], tuple[Floats, NDArray[np.int64]]],
) -> None:
    """CIFAR-10 against textures, with a linear head on frozen features that saw 40 pictures of each class."""
    from sklearn.linear_model import LogisticRegression

    (f, labels), (known, _), (strange, _) = (
        real("cifar10", "train", 40), real("cifar10", "test", 15), real("dtd_textures_ood", "test", 15),
    )  # fmt: skip
    mean, deviation = f.mean(axis=0), f.std(axis=0) + 1e-6
    head = LogisticRegression(C=0.01, max_iter=300).fit((f - mean) / deviation, labels)
    last = LastLayer(head.coef_.astype(np.float32), head.intercept_.astype(np.float32))

    def outputs(features: Floats) -> Outputs:
        scaled = ((features - mean) / deviation).astype(np.float32)
        return Outputs(last.logits(scaled), scaled)

    areas = {}
    for name in SCORES:
        score = load_score(name).learn(outputs(f), labels, last)
        areas[name] = auroc(score.score(outputs(known)), score.score(outputs(strange)))
    # measured: 0.63 (kl-matching) and 0.72 (msp) to 0.92 (mahalanobis) and 0.96 (vim)
    assert min(areas.values()) > 0.55, areas
    assert min(areas["vim"], areas["mahalanobis"]) > 0.85, areas

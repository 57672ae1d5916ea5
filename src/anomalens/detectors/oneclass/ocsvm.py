"""One-class support vector machine: a boundary around most normal images in a kernel's space.

    s(x) = log ρ − log Σᵢ αᵢ exp(−γ |x − xᵢ|²)

The logarithm orders images as the decision function Σ − ρ does and has the same boundary, at nought; but
far away, where every kernel vanishes and the function is −ρ, it still tells strange from stranger. At
most a share ν of the normal images lies outside (Schölkopf et al. 2001). γ is chosen without anomalies,
by consistency (Tax and Müller 2004): the largest of a few for which no more held-out normal images are
rejected than ν and chance explain, so the tightest boundary that still generalises.

When it fails. Features of unequal worth mislead its one γ; it then draws a ball around everything.

Memory. The kernel matrix of at most 10,000 images is left to libsvm, which keeps 200 MB of it. Of more
images, 500 random ones span the kernel's space (Nyström; Williams and Seeger 2001), and a linear machine
learns by stochastic gradient descent in blocks of 4096 images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.density.neighbours import Neighbours, some_rows
from anomalens.detectors.features.covariance import BLOCK
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.folds import fold_of_groups
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.job import Job

Doubles = NDArray[np.float64]

MAX_EXACT: Final = 10_000
LANDMARKS: Final = 500
SELECTION: Final = 1500  # vectors that γ is chosen on
_FACTORS: Final = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125)  # γ times the median squared distance
_EPOCHS: Final = 5
_LEAST: Final = 1e-12  # of what a logarithm is taken of


@dataclass(frozen=True)
class OcsvmSettings(FeatureSettings):
    """Parameters of the one-class support vector machine."""

    auto_scaling: ClassVar[str] = "whiten"
    nu: float = parameter(0.05, "share of the normal images that may lie outside", limits=(0.001, 0.9))
    gamma: float = parameter(
        0.0, "of the kernel exp(−gamma d²); 0: the largest that generalises", limits=(0.0, 1e6)
    )


class OcsvmHead:
    """Vectors [m, d], their weights [m], γ and ρ."""

    def __init__(self, vectors: Floats, weights: Doubles, gamma: float, rho: float) -> None:
        self._bank = Neighbours(vectors)
        if weights.shape != (len(vectors),) or not (0 < gamma < np.inf and 0 < rho < np.inf):
            raise ValueError("the support vectors and their weights do not fit")
        self._weights, self._gamma, self._rho = weights, gamma, rho

    def scores(self, z: Floats) -> Doubles:
        return np.concatenate([self._block(z[i : i + BLOCK]) for i in range(0, len(z), BLOCK)])

    def _block(self, z: Floats) -> Doubles:
        exponents = -self._gamma * self._bank.squared(z)
        top = exponents.max(1)
        total = np.exp(exponents - top[:, None]) @ self._weights
        # weights of landmarks may be negative, and so may their sum be
        return np.asarray(np.log(self._rho) - top - np.log(np.maximum(total, _LEAST)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"head_vectors": self._bank.vectors, "head_weights": self._weights}

    def numbers(self) -> dict[str, Any]:
        return {"gamma": self._gamma, "rho": self._rho}


class Ocsvm(ImageLevelDetector):
    """How far an image lies outside the boundary of a one-class support vector machine."""

    name: ClassVar[str] = "ocsvm"
    family: ClassVar[str] = "one-class"
    settings_type: ClassVar[type[Settings]] = OcsvmSettings
    settings: OcsvmSettings

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> OcsvmHead:
        s = self.settings
        few = some_rows(len(z), SELECTION, job.seed)
        gamma = s.gamma or consistent_gamma(z[few], groups[few], s.nu, job.seed)
        return (exact if len(z) <= MAX_EXACT else by_landmarks)(z, gamma, s.nu, job.seed)

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> OcsvmHead:
        return OcsvmHead(
            np.asarray(arrays["head_vectors"], np.float32),
            np.asarray(arrays["head_weights"], np.float64),
            float(numbers["gamma"]),
            float(numbers["rho"]),
        )


def consistent_gamma(x: Floats, groups: NDArray[np.int64], nu: float, seed: int) -> float:
    """The largest γ that rejects no more held-out images than ν and two standard errors."""
    squared = Neighbours(x).squared(x)
    typical = float(np.median(squared[squared > 0])) if (squared > 0).any() else 0.0
    if typical <= 1e-8 * (1.0 + float(np.abs(x).max()) ** 2):  # only copies of one image
        return 1.0
    folds = fold_of_groups(groups, 3, seed)
    bound = nu + 2 * np.sqrt(nu * (1 - nu) / len(x))
    for factor in _FACTORS:
        rejected = 0
        for fold in range(3):
            held = folds == fold
            if held.any() and not held.all():
                head = exact(x[~held], factor / typical, nu, seed)
                rejected += int((head.scores(x[held]) > 0).sum())
        if rejected <= bound * len(x):
            break
    return factor / typical


def exact(x: Floats, gamma: float, nu: float, seed: int) -> OcsvmHead:
    """libsvm's solution."""
    from sklearn.svm import OneClassSVM

    machine = OneClassSVM(gamma=gamma, nu=nu).fit(x.astype(np.float64))
    rho = max(-float(machine.intercept_[0]), _LEAST)
    return OcsvmHead(x[machine.support_], machine.dual_coef_[0].astype(np.float64), gamma, rho)


def by_landmarks(x: Floats, gamma: float, nu: float, seed: int, count: int = LANDMARKS) -> OcsvmHead:
    """A linear machine in the space that a few random images span.

    Its weights, taken back through the Nyström map, are weights of the landmarks: one form for both.
    """
    from sklearn.linear_model import SGDOneClassSVM

    rng = np.random.default_rng(seed)
    landmarks = np.ascontiguousarray(x[np.sort(rng.permutation(len(x))[:count])])
    bank = Neighbours(landmarks)
    values, axes = np.linalg.eigh(np.exp(-gamma * bank.squared(landmarks)))
    root = axes / np.sqrt(np.maximum(values, 1e-10)) @ axes.T
    machine = SGDOneClassSVM(nu=nu, random_state=seed % 2**32)
    for _ in range(_EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), BLOCK):
            rows = order[start : start + BLOCK]
            machine.partial_fit(np.exp(-gamma * bank.squared(x[rows])) @ root)
    rho = max(float(machine.offset_[0]), _LEAST)
    return OcsvmHead(landmarks, root @ machine.coef_.ravel(), gamma, rho)

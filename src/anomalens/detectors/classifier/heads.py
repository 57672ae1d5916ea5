"""What tells classes apart on vectors: multinomial logistic regression, or one hidden layer before it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import LastLayer, Outputs
from anomalens.detectors.classifier.settings import ClassifierSettings

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

_STEPS: Final = 300
_TOLERANCE: Final = 1e-3
_EPOCHS: Final = 60  # of the hidden layer's training, at most


@dataclass(frozen=True)
class Head:
    """Vectors [n, k] → what a classifier says of them.

    Attributes
    ----------
    last : LastLayer
    hidden : (float32 [k, h], float32 [h]) or None
        Weight and bias of a layer of rectified units before it; without one the last layer sees the vectors.
    """

    last: LastLayer
    hidden: tuple[Floats, Floats] | None = None

    def outputs(self, z: Floats) -> Outputs:
        """Logits and what the last layer sees."""
        features = z if self.hidden is None else np.maximum(z @ self.hidden[0] + self.hidden[1], 0)
        return Outputs(self.last.logits(features), features)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the state."""
        found = {"last_weight": self.last.weight, "last_bias": self.last.bias}
        if self.hidden is not None:
            found |= {"hidden_weight": self.hidden[0], "hidden_bias": self.hidden[1]}
        # row by row in memory, as a model file holds them: products round by layout
        return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild; nothing about the arrays is trusted."""
        last = last_layer(arrays)
        if "hidden_weight" not in arrays:
            return cls(last)
        weight, bias = (np.asarray(arrays[f"hidden_{name}"], np.float32) for name in ("weight", "bias"))
        if weight.ndim != 2 or bias.shape != weight.shape[1:] or last.weight.shape[1] != len(bias):
            raise ValueError("the hidden layer does not fit the last one")
        return cls(last, (weight, bias))


def last_layer(arrays: Mapping[str, NDArray[Any]]) -> LastLayer:
    """The last layer of a state; ValueError where its shapes do not fit."""
    weight, bias = (np.asarray(arrays[f"last_{name}"], np.float32) for name in ("weight", "bias"))
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or len(bias) < 2:
        raise ValueError("the last layer's weight and bias do not fit")
    return LastLayer(weight, bias)


def learn_head(
    z: Floats, labels: Labels, settings: ClassifierSettings, *, strength: float, seed: int
) -> Head:
    """A head from vectors [n, k] and labels [n], every place from 0 to the highest among them."""
    learn = _linear if settings.head == "linear" else _hidden
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could go on, which the tolerance and the steps decide
        found = learn(z, labels, settings, strength, seed)
    return Head.from_arrays(found.arrays())


def _linear(z: Floats, labels: Labels, settings: ClassifierSettings, strength: float, seed: int) -> Head:
    from sklearn.linear_model import LogisticRegression

    weights = "balanced" if settings.balance else None
    fitted = LogisticRegression(C=strength, max_iter=_STEPS, tol=_TOLERANCE, class_weight=weights)
    fitted.fit(z, labels)
    return Head(_both_classes(fitted.coef_, fitted.intercept_))


def _hidden(z: Floats, labels: Labels, settings: ClassifierSettings, strength: float, seed: int) -> Head:
    from sklearn.neural_network import MLPClassifier

    if settings.balance:  # it takes no weights: rows of rare classes are repeated
        rows = _repeated(labels, seed)
        z, labels = z[rows], labels[rows]
    fitted = MLPClassifier(
        (settings.hidden,), alpha=1 / strength / len(z), max_iter=_EPOCHS, random_state=seed,
        learning_rate_init=3e-4, batch_size=min(200, len(z)),
    )  # fmt: skip
    fitted.fit(z, labels)
    (first, second), (bias, last) = fitted.coefs_, fitted.intercepts_
    return Head(_both_classes(second.T, last), (first, bias))


def _both_classes(weight: NDArray[Any], bias: NDArray[Any]) -> LastLayer:
    """Of two classes scikit-learn keeps the difference only; halves of it have the same softmax."""
    if len(bias) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LastLayer(np.asarray(weight, np.float32), np.asarray(bias, np.float32))


def _repeated(labels: Labels, seed: int) -> NDArray[np.int64]:
    """Rows in which every class is as frequent as the largest."""
    rng = np.random.default_rng(seed)
    most = int(np.bincount(labels).max())
    rows = [np.resize(rng.permutation(np.flatnonzero(labels == k)), most) for k in np.unique(labels)]
    return np.sort(np.concatenate(rows))

"""What a classifier says of images, and the contract of scores that find what is of none of its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outputs:
    """What the network gave for some images.

    Attributes
    ----------
    logits : float32 [n, c]
        One for each of c classes, before any softmax and any temperature.
    features : float32 [n, d]
        What the last layer sees.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class LastLayer:
    """The last layer of a classifier: logits = features · weightᵀ + bias.

    Attributes
    ----------
    weight : float32 [c, d]
    bias : float32 [c]
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits [n, c] of features [n, d]."""
        given: NDArray[np.float32] = features @ self.weight.T + self.bias
        return given


class OodScore(ABC):
    """How little an image belongs to the known classes, from a classifier's outputs; higher is stranger.

    A score knows the last layer and the arrays that it learnt, and nothing else, so that it is rebuilt from
    them. The score of an image never depends on the others.
    """

    name: ClassVar[str]

    def __init__(self, last: LastLayer, arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        self.last = last
        self.arrays = dict(arrays or {})

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        """From outputs of images of known classes and their labels [n]; by default nothing is learnt."""
        return cls(last)

    @abstractmethod
    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        """Raw scores [n], unbounded, higher means more anomalous."""

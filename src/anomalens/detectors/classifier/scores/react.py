"""ReAct: Sun, Guo & Li 2021, "OOD Detection With Rectified Activations" (arXiv:2111.12797)."""

from __future__ import annotations

from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs

PERCENTILE: Final = 90  # the paper's, of all features of all known images


class RectifiedActivations(OodScore):
    """s(x) = −log Σ_k exp(W min(f, c) + b)_k: the energy after features above c were cut down to it.

    c is the 90th percentile of the known images' features, all of them in one.
    """

    name: ClassVar[str] = "react"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        cut = np.percentile(outputs.features.astype(np.float64), PERCENTILE)
        return cls(last, {"cut": np.array([cut])})

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        cut = np.minimum(outputs.features.astype(np.float64), self.arrays["cut"][0])
        logits = cut @ self.last.weight.astype(np.float64).T + self.last.bias
        score: NDArray[np.float64] = -logsumexp(logits, axis=1)
        return score

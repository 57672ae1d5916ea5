"""Maximum softmax probability: Hendrycks & Gimpel 2017 (arXiv:1610.02136)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from anomalens.detectors.classifier.outputs import OodScore, Outputs


class MaxSoftmax(OodScore):
    """s(x) = −log max_k softmax(z)_k, whose logarithm keeps apart what rounds to 1."""

    name: ClassVar[str] = "msp"

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        logits = outputs.logits.astype(np.float64)
        score: NDArray[np.float64] = logsumexp(logits, axis=1) - logits.max(axis=1)
        return score

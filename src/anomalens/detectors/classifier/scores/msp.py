"""Maximum softmax probability: Hendrycks & Gimpel 2017 (arXiv:1610.02136)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import OodScore, Outputs


class MaxSoftmax(OodScore):
    """s(x) = −log max_k softmax(z)_k, computed so that predictions that round to 1 are kept apart."""

    name: ClassVar[str] = "msp"

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        logits = np.sort(outputs.logits.astype(np.float64), axis=1)
        others = np.exp(logits[:, :-1] - logits[:, -1:])
        score: NDArray[np.float64] = np.log1p(others.sum(axis=1))
        return score

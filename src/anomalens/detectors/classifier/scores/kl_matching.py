"""KL matching: Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection" (arXiv:1911.11132)."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs


class KlMatching(OodScore):
    """s(x) = min_k KL(p ‖ d_k), with the softmax p and the mean softmax d_k of images taken for class k.

    As in the paper's code, images count for the class that was predicted; a class that never was has no d.
    """

    name: ClassVar[str] = "kl-matching"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        logs = log_softmax(outputs.logits.astype(np.float64), axis=1)
        predicted = logs.argmax(axis=1)
        typical = [
            logsumexp(logs[predicted == k], axis=0) - np.log(np.sum(predicted == k))
            for k in np.unique(predicted)
        ]
        return cls(last, {"log_typical": np.stack(typical)})

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        logs = log_softmax(outputs.logits.astype(np.float64), axis=1)
        shares = np.exp(logs)
        least = np.full(len(logs), np.inf)
        for typical in self.arrays["log_typical"]:
            least = np.minimum(least, (shares * (logs - typical)).sum(axis=1))
        return least

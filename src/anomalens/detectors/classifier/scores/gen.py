"""Generalised entropy: Liu, Lochman & Zach, "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution
Detection" (CVPR 2023; not on arXiv)."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from anomalens.detectors.classifier.outputs import OodScore, Outputs

GAMMA: Final = 0.1  # the paper's
CLASSES: Final = 100  # the paper's M for ImageNet; where there are fewer classes, all count


class GeneralisedEntropy(OodScore):
    """s(x) = Σ_k p_k^γ (1 − p_k)^γ over the M largest probabilities, with γ = 0.1 and M = 100.

    A small γ makes much of small deviations from a sure prediction.
    """

    name: ClassVar[str] = "gen"

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        logs = np.sort(log_softmax(outputs.logits.astype(np.float64), axis=1), axis=1)[:, ::-1]
        rest = np.log1p(-np.minimum(np.exp(logs), 0.5))
        # 1 − p of the largest is the sum of the others: the difference would be rounded to 0
        rest[:, 0] = logsumexp(logs[:, 1:], axis=1)
        score: NDArray[np.float64] = np.exp(GAMMA * (logs + rest))[:, :CLASSES].sum(axis=1)
        return score

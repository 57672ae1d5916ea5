"""ODIN's temperature: Liang, Li & Srikant 2018 (arXiv:1706.02690).

The paper also moves each image along a gradient before it is scored. That is left out: a graph that only
runs forward has no gradient. What is left is the softmax at a high temperature.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from anomalens.detectors.classifier.outputs import OodScore, Outputs

TEMPERATURE: Final = 1000.0  # the paper's


class Odin(OodScore):
    """s(x) = −log max_k softmax(z / T)_k with T = 1000: nearly the maximum minus the mean of the logits."""

    name: ClassVar[str] = "odin"

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        cooled = outputs.logits.astype(np.float64) / TEMPERATURE
        score: NDArray[np.float64] = logsumexp(cooled, axis=1) - cooled.max(axis=1)
        return score

"""Energy: Liu et al. 2020, "Energy-based Out-of-distribution Detection" (arXiv:2010.03759)."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from anomalens.detectors.classifier.outputs import OodScore, Outputs

TEMPERATURE: Final = 1.0  # the paper's; larger ones were worse there


class Energy(OodScore):
    """s(x) = −T log Σ_k exp(z_k / T), with T = 1: low where the classes together have much evidence."""

    name: ClassVar[str] = "energy"

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        score: NDArray[np.float64] = -TEMPERATURE * logsumexp(
            outputs.logits.astype(np.float64) / TEMPERATURE, axis=1
        )
        return score

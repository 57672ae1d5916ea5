"""Maximum logit: Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection" (arXiv:1911.11132)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import OodScore, Outputs


class MaxLogit(OodScore):
    """s(x) = −max_k z_k: unlike `msp` it sees how large the evidence is, not only how it is shared out."""

    name: ClassVar[str] = "max-logit"

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        score: NDArray[np.float64] = -outputs.logits.astype(np.float64).max(axis=1)
        return score

"""Neural collapse: Liu & Qin 2023, "Detecting Out-of-Distribution Through the Lens of Neural Collapse"
(arXiv:2311.01479)."""

from __future__ import annotations

from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs

ALPHA: Final = 1e-4  # the weight of the length, as for CIFAR-10 in OpenOOD


class NeuralCollapse(OodScore):
    """s(x) = −w_kᵀ (f − μ) / ‖f − μ‖ − α ‖f‖₁ with α = 10⁻⁴.

    Features of known classes gather around the weight w_k of the predicted class, seen from the mean μ of
    the known images, and far from the origin.
    """

    name: ClassVar[str] = "nci"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        return cls(last, {"mean": outputs.features.mean(axis=0, dtype=np.float64)})

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        features = outputs.features.astype(np.float64)
        centred = features - self.arrays["mean"]
        weights = self.last.weight.astype(np.float64)[outputs.logits.argmax(axis=1)]
        along = (weights * centred).sum(axis=1) / np.maximum(np.linalg.norm(centred, axis=1), 1e-12)
        score: NDArray[np.float64] = -along - ALPHA * np.abs(features).sum(axis=1)
        return score

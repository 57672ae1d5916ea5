"""Fast distance to decision boundaries: Liu & Qin 2024, "Fast Decision Boundary based OOD Detector"
(arXiv:2312.11536)."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs


class BoundaryDistance(OodScore):
    """s(x) = −mean_{j≠k} |z_k − z_j| / ‖w_k − w_j‖ / ‖f − μ‖, with k the predicted class.

    Each term is the distance of the features f to the boundary between two classes. Features far from the
    mean μ of the known images are far from boundaries too, so their distance divides. No constant is chosen.
    """

    name: ClassVar[str] = "fdbd"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        return cls(last, {"mean": outputs.features.mean(axis=0, dtype=np.float64)})

    @cached_property
    def _apart(self) -> NDArray[np.float64]:
        """‖w_k − w_j‖ [c, c], row by row: a thousand classes have no room for all differences at once."""
        weight = self.last.weight.astype(np.float64)
        return np.maximum([np.linalg.norm(weight - row, axis=1) for row in weight], 1e-12)

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        logits = outputs.logits.astype(np.float64)
        predicted, n = logits.argmax(axis=1), logits.shape[1]
        boundaries = (logits.max(axis=1, keepdims=True) - logits) / self._apart[predicted]
        centred = np.linalg.norm(outputs.features - self.arrays["mean"], axis=1)
        score: NDArray[np.float64] = -boundaries.sum(axis=1) / max(n - 1, 1) / np.maximum(centred, 1e-12)
        return score

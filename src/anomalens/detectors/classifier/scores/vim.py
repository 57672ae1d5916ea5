"""Virtual-logit matching: Wang et al. 2022, "ViM" (arXiv:2203.10807)."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from anomalens.detectors.classifier.outputs import LastLayer, OodScore, Outputs


class VirtualLogit(OodScore):
    """s(x) = α ‖Rᵀ (f − o)‖ − log Σ_k exp z_k.

    R are the axes in which the known images vary least, the origin o = −W⁺ b is where all logits are 0, and
    α = mean max_k z_k / mean ‖Rᵀ (f − o)‖ over the known images makes the residual a logit of its own.
    As in the paper the D leading axes are no residual: 1000 from 2048 features, 512 from 1024, else half of
    them; and never more than half the number of images, beyond which the known ones have no residual.
    """

    name: ClassVar[str] = "vim"

    @classmethod
    def learn(cls, outputs: Outputs, labels: NDArray[np.int64], last: LastLayer) -> Self:
        weight, bias = last.weight.astype(np.float64), last.bias.astype(np.float64)
        origin = -np.linalg.pinv(weight) @ bias
        moved = outputs.features.astype(np.float64) - origin
        n, d = moved.shape
        _, axes = np.linalg.eigh(moved.T @ moved / n)  # ascending, around the origin and not the mean
        rest = axes[:, : d - _leading(n, d)].astype(np.float32)
        length = float(np.linalg.norm(moved @ rest, axis=1).mean())
        # a mean maximum below 0, which a shift of all logits can give, would make strangers known
        evidence = abs(float(outputs.logits.astype(np.float64).max(axis=1).mean()))
        alpha = evidence / length if length > 0 else 0.0
        return cls(last, {"origin": origin, "residual": rest, "alpha": np.array([alpha])})

    @cached_property
    def _residual(self) -> NDArray[np.float64]:
        wide: NDArray[np.float64] = self.arrays["residual"].astype(np.float64)
        return wide

    def score(self, outputs: Outputs) -> NDArray[np.float64]:
        moved = outputs.features.astype(np.float64) - self.arrays["origin"]
        length = np.linalg.norm(moved @ self._residual, axis=1)
        score: NDArray[np.float64] = self.arrays["alpha"][0] * length - logsumexp(
            outputs.logits.astype(np.float64), axis=1
        )
        return score


def _leading(n: int, d: int) -> int:
    """How many axes are no residual."""
    paper = 1000 if d >= 2048 else 512 if d >= 1024 else d // 2
    return min(paper, n // 2)

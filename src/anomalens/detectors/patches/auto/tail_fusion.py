"""How the views of `auto` become one score: a weighted sum of their places on their tail scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.patches.auto.names import PATCHES, VIEWS

# Share of the patches whose mean is a view's image score: a single patch is noise more often than a defect.
TOP_SHARE: Final = 0.005
LAYOUT_SHARE: Final = 0.01  # of a quarter as many


@dataclass(frozen=True)
class TailFusion:
    """How the views become one score.

    Attributes
    ----------
    scales : TailScale of each view, or None
        None where there are too few groups to leave any out: the patches' score then stands alone.
    weights : mapping of view to float
        How much each tail value counts in the image's score.
    """

    scales: Mapping[str, TailScale] | None
    weights: Mapping[str, float]

    def parts(self, raw: Mapping[str, float]) -> dict[str, float]:
        """What each view adds to the score: its weight times its place on its tail scale."""
        if self.scales is None:
            return {PATCHES: raw[PATCHES]}
        return {view: w * float(self.scales[view](raw[view])) for view, w in self.weights.items()}

    def score(self, raw: Mapping[str, float]) -> float:
        """The image's score."""
        return float(sum(self.parts(raw).values()))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        scales = None if self.scales is None else {v: s.to_json() for v, s in self.scales.items()}
        return {"scales": scales, "weights": dict(self.weights)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TailFusion:
        """Read what `to_json` wrote; ValueError, KeyError or TypeError where that is damaged."""
        weights = {view: float(data["weights"][view]) for view in VIEWS}
        if not all(abs(weight) < 1e30 for weight in weights.values()):
            raise ValueError("weights that are no numbers or too large")
        scales = data["scales"]
        return cls(
            None if scales is None else {view: TailScale.from_json(scales[view]) for view in VIEWS},
            weights,
        )

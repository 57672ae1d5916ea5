"""What a check's page tells of the model, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from anomalens.calibration import Calibration
from anomalens.inspector import Inspector


@dataclass(frozen=True)
class ModelRecord:
    """A model that was asked, without its detector.

    `model_card` says how it was made, `crops` whether it cuts parts of a picture off, at which nobody looked;
    `thumbnails` are small JPEGs of normal images by id.
    """

    name: str
    detector: str
    calibration: Calibration
    model_card: Mapping[str, Any]
    crops: bool = False
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Inspector) -> Self:
        """The record of a model that is loaded."""
        crops = model.preprocessing.resize.mode == "crop"
        return cls(
            model.name, model.detector.name, model.calibration, model.card, crops, model.thumbnails
        )  # fmt: skip

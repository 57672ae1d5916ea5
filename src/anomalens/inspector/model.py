"""A fitted model: what a fit makes, a model file holds, and an inspector answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from anomalens.backbones.runtimes import Runtime
from anomalens.calibration import Calibration
from anomalens.detectors.contract import Detector
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.kind import Kind


@dataclass(frozen=True)
class Model:
    """A detector that was fitted and calibrated, and all that its scores depend on.

    Attributes
    ----------
    preprocessing : Preprocessing
    detector : Detector
    calibration : Calibration
    runtime : Runtime
        What executes the networks now.
    card : dict
        How the model was made: settings, seed, data hash, versions, golden scores, warnings.
    name : str
        The model file's name, for findings.
    thumbnails : dict of str to bytes
        Small JPEGs of normal images by id, where they were asked for.
    left_out : dict of str to float
        Scores of normal images by id, as if nothing had been learnt from them. Model files do not hold them,
        for ids are names on their maker's disk: empty after loading.
    """

    preprocessing: Preprocessing
    detector: Detector
    calibration: Calibration
    runtime: Runtime
    card: Mapping[str, Any]
    name: str = "unsaved"
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    left_out: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def kind(self) -> Kind | None:
        """The kind of picture that it learnt from; None in files of earlier versions."""
        return Kind.from_json(self.card.get("kind"))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of prepared images."""
        width, height = self.preprocessing.output_size
        return height, width

"""What came out of the demonstration, for its table and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anomalens.demo.photographs import Photograph

Pictures = tuple[str | None, str | None]  # names of the tile and of its map beside the report's page


@dataclass(frozen=True)
class Shown:
    """Pictures of one photograph.

    Attributes
    ----------
    examples : mapping of kind of defect to (Pictures, bool)
        And whether it was flagged.
    false_alarms : sequence of Pictures
    """

    examples: Mapping[str, tuple[Pictures, bool]]
    false_alarms: Sequence[Pictures]


@dataclass(frozen=True)
class Trial:
    """What came out on one photograph; every number is measured.

    Attributes
    ----------
    photograph : Photograph
    n_normal, n_good : int
        Tiles that were learnt from; intact tiles that were tested.
    painted, found : mapping of kind to int
        Painted tiles that were tested, and those of them that were flagged.
    false_alarms : int
        Intact tiles that were flagged.
    image_auroc : float
    fit_seconds, ms_per_image : float
        With calibration; with decoding, without the report.
    folder, model, page : Path
    shown : Shown
        Pictures for the page of all.
    """

    photograph: Photograph
    n_normal: int
    n_good: int
    painted: Mapping[str, int]
    found: Mapping[str, int]
    false_alarms: int
    image_auroc: float
    fit_seconds: float
    ms_per_image: float
    folder: Path
    model: Path
    page: Path
    shown: Shown

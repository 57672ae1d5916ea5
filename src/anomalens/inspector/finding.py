"""A finding: one image's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration import Calibration, Region
from anomalens.calibration.conformal import Verdict
from anomalens.detectors.contract import Part, Reasons
from anomalens.errors import InputError
from anomalens.images.decode import Picture
from anomalens.images.facts import Facts
from anomalens.images.geometry import Affine

_PARTS_TOLD: Final = 3
_IN_JSON: Final = (
    "image", "page", "score", "p_value", "percentile", "anomalous", "verdict", "threshold", "calibration",
    "regions", "label", "confidence", "explanation", "notes", "error", "detector",
    "model",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What the inspector says about one image.

    Attributes
    ----------
    image : str
        The image's id.
    page : int or None
        Page of a multi-page TIFF, from 1.
    score : float or None
        Raw score, higher means more anomalous; None where the image could not be read.
    p_value : float or None
        Share of new normal images that score as high, or higher.
    percentile : float or None
        Per cent of the normal images that score lower.
    anomalous : bool or None
        Whether it is flagged: the verdict is "look" or "reject".
    verdict : "ok", "look", "reject" or None
        What to do with it.
    threshold : float or None
        Raw score above which an image is flagged.
    calibration : dict or None
        Where the threshold comes from: method, n, the rate it expects, a note where less was
        possible than asked.
    regions : tuple of Region
        Where, in pixels of the original image; empty where the image is not flagged.
    explanation : str or None
        The answer in words, with the reasons where they were asked for.
    reasons : Reasons or None
        What adds to the score and which normal images are most similar, from detectors that know and
        where it was asked for.
    parts : dict of str to float
        What the score was made of, by name, from detectors whose score has several parts.
    notes : tuple of str
        What is odd of the image beside its score: another kind of picture, or a blank one.
    facts : Facts or None
        Brightness and other plain facts.
    error : str or None
        Why the image has no answer.
    detector, model : str or None
    map : float32 [h, w] or None
        Anomaly map at the size of the prepared image.
    map_to_original : Affine or None
        From the map's pixels to the original image's.
    original_size : (width, height) or None
    picture : Picture or None
        The decoded picture, where it was asked for.
    label, confidence : str, float or None
        From classifiers: the most likely class, and its probability if the image is of one of the known
        classes; a flagged image is of none of them.
    """

    image: str
    page: int | None = None
    score: float | None = None
    p_value: float | None = None
    percentile: float | None = None
    anomalous: bool | None = None
    verdict: Verdict | None = None
    threshold: float | None = None
    calibration: dict[str, Any] | None = None
    regions: tuple[Region, ...] = ()
    label: str | None = None
    confidence: float | None = None
    explanation: str | None = None
    reasons: Reasons | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    facts: Facts | None = None
    error: str | None = None
    detector: str | None = None
    model: str | None = None
    map: NDArray[np.float32] | None = None
    map_to_original: Affine | None = None
    original_size: tuple[int, int] | None = None
    picture: Picture | None = None

    def to_json(self) -> dict[str, Any]:
        """The stable keys of `check --json`; what does not apply is None."""
        plain = {name: getattr(self, name) for name in _IN_JSON}
        regions = [region.to_json() for region in self.regions]
        return {**plain, "regions": regions, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Read what `to_json` wrote: a finding without map and reasons, which the line does not hold.

        Raises
        ------
        InputError
            It is no line of `check --json`.
        """
        try:
            values = {"verdict": None, "notes": (), **data}  # lines of earlier versions have none
            values = {name: values[name] for name in _IN_JSON}
            values["notes"] = tuple(map(str, values["notes"]))
            regions = tuple(Region.from_json(region) for region in values.pop("regions"))
            if not isinstance(values["image"], str):
                raise TypeError("the image has no name")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"This is no finding of  anomalens check --json  ({type(error).__name__}: {error}); give "
                "what it wrote."
            ) from None
        return cls(**values, regions=regions)


def calibration_summary(calibration: Calibration, class_name: str | None = None) -> dict[str, Any]:
    """The calibration in a few plain values, for findings and cards, and of which class alone it is."""
    return {
        **({} if class_name is None else {"class": class_name}),
        "method": calibration.method,
        "calibrated": calibration.calibrated,
        "n": len(calibration.scores),
        "n_groups": calibration.n_groups,
        "policy": str(calibration.policy),
        "rate": calibration.threshold.expected_rate,
        "supported": calibration.threshold.supported,
        "note": calibration.threshold.note or None,
    }


def class_in_words(label: str, confidence: float, *, known: bool) -> str:
    """What a classifier says: `cat, 93 % sure`, or that it is none of its classes."""
    said = f"{label}, {100 * confidence:.0f} % sure"
    return said if known else f"none of the known classes (nearest: {said})"


def explain(
    calibration: Calibration, score: float, regions: tuple[Region, ...], reasons: Reasons | None = None
) -> str:
    """The verdict in a few sentences."""
    n = len(calibration.scores)
    higher = int(np.sum(calibration.scores >= score))
    rank = "none" if higher == 0 else str(higher)
    if calibration.is_anomalous(score):
        plain = ", to be rejected" if calibration.verdict(score) == "reject" else ", to be looked at"
        text = (
            f"Flagged{plain}: score {score:.4g} is above {calibration.threshold.value:.4g}; "
            f"{rank} of {n} normal images scored as high."
        )
        if regions:
            x0, y0, x1, y1 = regions[0].box
            text += f" Strongest at x {x0} to {x1}, y {y0} to {y1}."
    else:
        text = (
            f"Not flagged: score {score:.4g} is not above {calibration.threshold.value:.4g}; "
            f"{rank} of {n} normal images scored as high."
        )
    if calibration.policy.kind == "given":
        text += " The threshold was given by a person."
    if not calibration.calibrated:
        text += " Uncalibrated: no normal images like those to come set the threshold."
    return text + ("" if reasons is None else _reasons_text(reasons))


def shares(reasons: Reasons) -> list[tuple[Part, float]]:
    """The parts that add to the score, and the share of each in what they add together, 0 to 1."""
    adding = [part for part in reasons.parts if part.contribution > 0]
    total = sum(part.contribution for part in adding)
    return [(part, part.contribution / total) for part in adding]


def _reasons_text(reasons: Reasons) -> str:
    text = ""
    if told := shares(reasons)[:_PARTS_TOLD]:
        text += " Adds most to the score: " + ", ".join(f"{p.name} {100 * s:.0f} %" for p, s in told) + "."
    if reasons.said:
        text += f" {reasons.said[0].upper()}{reasons.said[1:]}."
    if reasons.nearest:
        text += " Most similar normal images: " + ", ".join(n.image for n in reasons.nearest) + "."
    return text

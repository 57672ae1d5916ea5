"""Another threshold for a model, or other normal images to rest it on."""

from __future__ import annotations

from typing import Any

from anomalens.calibration import Calibration, Policy
from anomalens.calibration.another_day import joined
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.inspector.fitting import UNCALIBRATED
from anomalens.inspector.golden import score_golden
from anomalens.inspector.held_out import calibrated_on
from anomalens.inspector.model import Model
from anomalens.inspector.model_card import versions
from anomalens.progress import Progress


def recalibrated(
    model: Model, policy: Policy, images: ImageSet | None, *, add: bool, progress: Progress
) -> tuple[Calibration, dict[str, Any]]:
    """The calibration and the card of the same detector; see `Inspector.calibrate`."""
    if add and (images is None or policy.needs_labels):
        raise SettingError(
            f"The policy {str(policy)!r} needs labels, which only one set of images has; leave out --add."
            if policy.needs_labels
            else "There is nothing to add; name the new NORMAL pictures."
        )
    card = dict(model.card)
    said = []
    if images is None:
        calibration = model.calibration.with_policy(policy)
    else:
        calibration, kind = calibrated_on(model, images, policy, progress)
        if add:
            calibration, sentence = joined(model.calibration, calibration)
            said.append(sentence)
            kind = kind if model.kind is None else kind.with_more(model.kind)
        card["kind"] = kind.to_json()
        card["golden"] = score_golden(model.detector, model.size)
        card["calibrated_on"] = {"runtime": model.runtime.to_json(), "versions": versions()}
    if calibration.threshold.note:
        said.append(calibration.threshold.note)
    card["notes"] = [*_still_true(model, calibration.calibrated), *said]
    return calibration, card


def _still_true(model: Model, calibrated: bool) -> list[str]:
    """The card's notes without those that another threshold makes untrue."""
    former = model.calibration.threshold.note
    return [n for n in model.card["notes"] if n != former and not (calibrated and UNCALIBRATED in n)]

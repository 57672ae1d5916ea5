"""Strengths, limits and recommendations, by rules on the figures of one card.

Every sentence names the figures that it rests on. The grade never rests on the middle of an interval
alone: what few images show well is not called good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from anomalens.calibration import Policy
from anomalens.reports.evaluation_numbers import CardNumbers, Kind
from anomalens.reports.evaluation_texts import counted, listed, per_cent, rate_text, seen

Grade = Literal["good", "mixed", "weak", "open"]
GRADES: Final = {
    "good": "good on this data",
    "mixed": "usable with care",
    "weak": "not good enough on this data",
    "open": "cannot be judged from this data",
}
_OTHER_RATES: Final = (0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Remarks:
    """What the figures of one card say, in sentences."""

    grade: Grade
    why: str
    strengths: tuple[str, ...]
    limits: tuple[str, ...]
    recommendations: tuple[str, ...]


def remarks_on(numbers: CardNumbers) -> Remarks:
    """Apply every rule to a card without an error."""
    grade, why = _grade(numbers)
    return Remarks(
        grade,
        why,
        tuple(_strengths(numbers)),
        tuple(_limits(numbers)),
        tuple(_recommendations(numbers, grade)),
    )


def headline(numbers: CardNumbers) -> str:
    """What happened, in one sentence."""
    asked = numbers.asked_rate
    found, alarms = numbers.detection_rate, numbers.false_alarm_rate
    parts = []
    if found.total:
        parts.append(f"{found.count} of {counted(found.total, 'anomaly')} found ({per_cent(found.value)})")
    if alarms.total:
        wanted = "" if asked is None else f"; asked: {per_cent(asked)}"
        parts.append(
            f"{counted(alarms.count, 'false alarm')} in {counted(alarms.total, 'normal image')} "
            f"({per_cent(alarms.value)}{wanted})"
        )
    return ", ".join(parts) + "."


def _grade(numbers: CardNumbers) -> tuple[Grade, str]:
    card = numbers.card
    if card.image_auroc is None:
        return "open", "Both normal and anomalous test images are needed to judge."
    low = float(card.ci.get("image_auroc", [card.image_auroc])[0])
    found, alarms = numbers.detection_rate, numbers.false_alarm_rate
    told = f"image AUROC is {card.image_auroc:.3f}, with 95 % confidence at least {low:.3f}"
    if low < 0.7:
        return "weak", f"The ranking is weak or too uncertain: {told}."
    if _too_many_alarms(numbers):
        return "mixed", f"Far more false alarms than asked: {rate_text(alarms)}; {told}."
    if (found.value or 0.0) < 0.8:
        return "mixed", f"The threshold lets many anomalies pass: {rate_text(found)} found; {told}."
    if low < 0.9:
        return "mixed", f"The ranking is fair: {told}."
    return "good", f"{told[0].upper()}{told[1:]}; found: {rate_text(found)}."


def _too_many_alarms(numbers: CardNumbers) -> bool:
    asked = numbers.asked_rate
    return asked is not None and numbers.false_alarm_rate.low > asked


def _strengths(numbers: CardNumbers) -> Iterator[str]:
    card = numbers.card
    low = card.ci.get("image_auroc", (0.0, 1.0))[0]
    if card.image_auroc is not None and low >= 0.95:
        yield (
            f"Ranks anomalies above normal images almost always (image AUROC {card.image_auroc:.3f}, with 95 % "
            f"confidence at least {low:.3f})."
        )
    sure = [kind for kind in numbers.kinds if (kind.found.value or 0) >= 0.95 and kind.found.total >= 5]
    if sure:
        told = [f"{seen(k.name)} ({k.found.count} of {k.found.total})" for k in sure]
        yield f"Finds (nearly) all of: {listed(told, 8)}."
    asked, alarms = numbers.asked_rate, numbers.false_alarm_rate
    if asked is not None and alarms.total >= 30 and alarms.low <= asked <= alarms.high:
        yield f"Keeps the false-alarm rate of {per_cent(asked)} that was asked, as far as this data can tell: {rate_text(alarms)}."
    if card.aupro is not None and card.aupro >= 0.85:
        yield f"Shows where the defects are (AUPRO {card.aupro:.3f})."
    if card.ms_per_image is not None and 0 < card.ms_per_image <= 100:
        yield f"Fast: {1000 / card.ms_per_image:.0f} images a second on the machine that made this card, decoding included."


def _limits(numbers: CardNumbers) -> Iterator[str]:
    card = numbers.card
    calibration = card.calibration or {}
    if numbers.unanswered:
        yield f"{counted(len(numbers.unanswered), 'test image')} could not be read and count nowhere."
    values = np.concatenate([numbers.normal, numbers.anomalous])
    if len(values) > 1 and values.min() == values.max():
        yield "All test images have the same score: this detector tells nothing apart here."
    elif card.image_auroc is not None and card.ci.get("image_auroc", (0, 1))[1] < 0.5:
        yield "Worse than chance: anomalies score lower than normal images. They may be simpler pictures than the normal ones."
    missed = [kind for kind in numbers.kinds if kind.found.total >= 2 and (kind.found.value or 0) < 0.5]
    ranked = [k for k in missed if (k.auroc or 0) >= 0.9]
    unseen = [k for k in missed if k.auroc is not None and k.auroc < 0.8]
    if unseen:
        yield f"Hardly sees these kinds (AUROC below 0.8): {listed(_told(unseen))}."
    if ranked:
        yield f"Ranks these kinds above normal images, but mostly below the threshold: {listed(_told(ranked))}."
    between = [k for k in missed if k not in unseen and k not in ranked]
    if between:
        yield f"Misses most of: {listed(_told(between))}."
    few = [
        counted(n, noun)
        for n, noun in ((len(numbers.normal), "normal image"), (len(numbers.anomalous), "anomaly"))
        if n < 30
    ]
    if few:
        yield f"Few test images ({' and '.join(few)}): every figure has a wide interval."
    asked, alarms = numbers.asked_rate, numbers.false_alarm_rate
    if _too_many_alarms(numbers) and asked is not None:
        yield f"More false alarms than the {per_cent(asked)} that was asked: {rate_text(alarms)}."
    elif asked and alarms.total and alarms.high > 3 * asked:
        need = math.ceil(3 / asked)
        yield (
            f"{counted(alarms.total, 'normal test image')} cannot prove a false-alarm rate of {per_cent(asked)}: it "
            f"may be as high as {per_cent(alarms.high)}. {need} without a false alarm would show it."
        )
    drift = numbers.drift
    if drift is not None and drift.visible:
        yield (
            "Normal test images score visibly higher than the normal images of the calibration (higher in "
            f"{per_cent(drift.higher)} of pairs): expect more false alarms than asked."
        )
    if calibration.get("calibrated") is False:
        yield "Uncalibrated: there were too few normal images to leave any out, so the threshold is a guess."
    elif calibration.get("supported") is False:
        n = calibration.get("n")
        yield f"{n} normal images are too few for the false-alarm rate that was asked; the threshold is their largest score."
    if card.image_auroc is not None and card.image_auroc >= 0.95 and card.aupro is not None and card.aupro < 0.7:
        yield f"Flags the right images but outlines defects poorly (AUPRO {card.aupro:.3f}): use its verdict, not its regions."
    if (card.pixel_auroc or 0) >= 0.95 and card.pixel_ap is not None and card.pixel_ap < 0.3:
        yield (
            f"Pixel AUROC ({card.pixel_auroc:.3f}) flatters, because nearly all pixels are normal; pixel AP is "
            f"{card.pixel_ap:.3f}."
        )
    suspects = numbers.suspect_normal
    if suspects:
        names = listed([seen(s.image) for s in suspects])
        yield f"Normal images that score above the middle anomaly, perhaps labelled wrongly: {names}."
    if (card.ms_per_image or 0) > 1000:
        yield f"Slow: {(card.ms_per_image or 0) / 1000:.2g} s an image."


def _told(kinds: list[Kind]) -> list[str]:
    return [f"{seen(kind.name)} ({kind.found.count} of {kind.found.total} found)" for kind in kinds]


def _recommendations(numbers: CardNumbers, grade: Grade) -> Iterator[str]:
    card = numbers.card
    if grade == "open":
        missing = "anomalous" if len(numbers.normal) else "normal"
        yield f"Add {missing} test images, with labels, and evaluate again."
    drift = numbers.drift
    drifted = drift is not None and drift.visible
    if drifted or _too_many_alarms(numbers):
        yield (
            "Calibrate on normal images that were taken like those to be checked and that the model has not seen: "
            "anomalens calibrate MODEL NORMAL --out NEW."
        )
    calibration = card.calibration or {}
    asked = numbers.asked_rate
    unsupported = calibration.get("calibrated") is False or calibration.get("supported") is False
    if unsupported and asked:
        yield f"Give at least {math.ceil(1 / asked - 1 - 1e-9)} normal images: so many a rate of {per_cent(asked)} needs."
    if not drifted and not _too_many_alarms(numbers):
        yield from _another_rate(numbers)
    unseen = [k for k in numbers.kinds if k.auroc is not None and k.auroc < 0.8 and k.found.total >= 2]
    size = card.settings.get("fitted_size")
    if unseen and isinstance(size, list) and size and type(size[0]) is int:
        larger = "" if size[0] >= 256 else f"small defects may vanish at {size[0]} px, try --size {2 * size[0]}; "
        yield f"For {listed([seen(k.name) for k in unseen])}: {larger}or try another detector (anomalens detectors)."
    if numbers.suspect_normal:
        yield "Look at the normal images named above before trusting any figure: one wrong label moves them all."
    if grade == "good":
        yield "Try it on images of your own line that nobody has tuned on; count false alarms there for a day."


def _another_rate(numbers: CardNumbers) -> Iterator[str]:
    """The smallest of a few higher false-alarm rates that finds clearly more here."""
    found, asked = numbers.detection_rate, numbers.asked_rate
    if not found.total or asked is None or (found.value or 0) >= 0.95 or not len(numbers.calibration):
        return
    best = None
    for rate in _OTHER_RATES:
        if rate <= asked:
            continue
        threshold = Policy("false-alarm-rate", rate).threshold(numbers.calibration)
        alarms, misses, _ = numbers.counts_above(threshold.value)
        if found.total - misses > found.count:
            best = (rate, found.total - misses, alarms)
        if misses <= 0.05 * found.total:
            break
    if best is None:
        return
    rate, hits, alarms = best
    yield (
        f"If a miss costs more than a false alarm: --false-alarm-rate {rate:g} would have found {hits} instead of "
        f"{found.count} of {found.total} here, with {counted(alarms, 'false alarm')} in "
        f"{counted(len(numbers.normal), 'normal image')} (anomalens calibrate MODEL --false-alarm-rate {rate:g} --out NEW)."
    )

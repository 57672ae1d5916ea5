"""Strengths, limits and recommendations, by rules on the figures of one card.

Every sentence names the figures that it rests on. The grade never rests on the middle of an interval
alone, and what few images show is not called good. On the same images, a detector that does better in
everything is never graded lower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from anomalens.calibration import Policy
from anomalens.reports.evaluation.numbers import CardNumbers, Kind
from anomalens.reports.parts.texts import counted, listed, per_cent, rate_text

Grade = Literal["good", "few", "mixed", "weak", "open"]
GRADES: Final[dict[Grade, str]] = {
    "good": "good on this data",
    "few": "good, on few images",
    "mixed": "usable with care",
    "weak": "not good enough on this data",
    "open": "cannot be judged from this data",
}
_OTHER_RATES: Final = (0.02, 0.05, 0.1, 0.2)
# images of the smaller class: so many without an error still allow an error rate of 14 % and 26 % (95 %)
_FEW, _TOO_FEW = 20, 10


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
    strengths, advice = tuple(_strengths(numbers, grade)), tuple(_recommendations(numbers, grade))
    return Remarks(grade, why, strengths, tuple(_limits(numbers)), advice)


def headline(numbers: CardNumbers) -> str:
    """What happened, in one sentence."""
    asked, card = numbers.asked_rate, numbers.card
    found, alarms = numbers.detection_rate, numbers.false_alarm_rate
    parts = []
    if found.total:
        parts.append(f"{found.count} of {counted(found.total, 'anomaly')} found ({per_cent(found.value)})")
    if alarms.total:
        wanted = "" if asked is None else f"; {numbers.asked}: {per_cent(asked)}"
        parts.append(
            f"{counted(alarms.count, 'false alarm')} in {counted(alarms.total, 'normal image')} "
            f"({per_cent(alarms.value)}{wanted})"
        )
    if card.image_auroc is not None:
        parts.append(f"image AUROC {card.image_auroc:.3f}")
    return ", ".join(parts) + "."


def _grade(numbers: CardNumbers) -> tuple[Grade, str]:
    card = numbers.card
    if card.image_auroc is None:
        return "open", "Both normal and anomalous test images are needed to judge."
    low, told = _sure_auroc(numbers)
    found, alarms = numbers.detection_rate, numbers.false_alarm_rate
    if low < 0.7:
        return "weak", f"The ranking is weak or too uncertain: {told}."
    smaller = _smaller_class(numbers)
    few = f"{counted(smaller, 'image')} in the smaller class {'is' if smaller == 1 else 'are'} too few"
    if smaller < _TOO_FEW:
        return "open", f"{few} to judge: {told}."
    if _too_many_alarms(numbers):
        grade: Grade = "weak" if (alarms.value or 0.0) > 0.2 else "mixed"
        return grade, f"Far more false alarms than asked: {rate_text(alarms)}; {told}."
    if (found.value or 0.0) < 0.8:
        grade = "weak" if _finds_few(numbers) else "mixed"
        return grade, f"The threshold lets many anomalies pass: {rate_text(found)} found; {told}."
    if low < 0.9:
        return "mixed", f"The ranking is fair: {told}."
    if smaller < _FEW:
        return "few", f"{few} to be sure: {told}; found: {rate_text(found)}."
    return "good", f"{told[0].upper()}{told[1:]}; found: {rate_text(found)}."


def _smaller_class(numbers: CardNumbers) -> int:
    return min(len(numbers.normal), len(numbers.anomalous))


def _sure_auroc(numbers: CardNumbers) -> tuple[float, str]:
    """The least image AUROC that the data supports, and the figure in words.

    Classes that do not overlap stay apart in every bootstrap sample. They are judged by 1, or they would rank
    below classes that overlap a little; the words tell what the rule of three on the smaller class allows. It
    also stands in on cards that have no interval.
    """
    auroc = numbers.card.image_auroc or 0.0
    smaller = _smaller_class(numbers)
    allowed = max(0.0, auroc - 3 / max(smaller, 1))
    low, high = numbers.card.ci.get("image_auroc", (allowed, auroc))
    if auroc < 1 and low < high:
        return float(low), f"image AUROC is {auroc:.3f}, with 95 % confidence at least {low:.3f}"
    return auroc, (
        f"image AUROC is {auroc:.3f}, but with {counted(smaller, 'image')} in the smaller class the true one "
        f"may be as low as {allowed:.2f}"
    )


def _too_many_alarms(numbers: CardNumbers) -> bool:
    asked = numbers.asked_rate
    return asked is not None and numbers.false_alarm_rate.low > asked


def _strengths(numbers: CardNumbers, grade: Grade) -> Iterator[str]:
    card = numbers.card
    if card.image_auroc is not None:
        low, told_auroc = _sure_auroc(numbers)
        if low >= 0.95:
            yield f"Ranks anomalies above normal images almost always: {told_auroc}."
    sure = [kind for kind in numbers.kinds if (kind.found.value or 0) >= 0.95 and kind.found.total >= 5]
    if sure and not _too_many_alarms(numbers):
        told = [f"{k.name} ({k.found.count} of {k.found.total})" for k in sure]
        yield f"Finds (nearly) all of: {listed(told, 8)}."
    if card.aupro is not None and card.aupro >= 0.85:
        yield f"Shows where the defects are (AUPRO {card.aupro:.3f})."
    if grade == "weak" or _finds_few(numbers):
        return  # who finds nothing gives no false alarm either, and is fast
    asked, alarms = numbers.asked_rate, numbers.false_alarm_rate
    if asked is not None and alarms.total >= 30 and alarms.low <= asked <= alarms.high:
        yield (
            f"Keeps the false-alarm rate of {per_cent(asked)} that was {numbers.asked}, as far as this data "
            f"can tell: {rate_text(alarms)}."
        )
    if card.ms_per_image is not None and 0 < card.ms_per_image <= 100:
        yield f"Fast: {1000 / card.ms_per_image:.0f} images a second where this was run, decoding included."


def _finds_few(numbers: CardNumbers) -> bool:
    found = numbers.detection_rate
    return found.total > 0 and (found.value or 0.0) < 0.5


def _limits(numbers: CardNumbers) -> Iterator[str]:
    card = numbers.card
    calibration = card.calibration or {}
    if numbers.unanswered:
        yield f"{counted(len(numbers.unanswered), 'test image')} could not be read and count nowhere."
    values = np.concatenate([numbers.normal, numbers.anomalous])
    if len(values) > 1 and values.min() == values.max():
        yield "All test images have the same score: this detector tells nothing apart here."
    elif card.image_auroc is not None and card.ci.get("image_auroc", (0, 1))[1] < 0.5:
        yield (
            "Worse than chance: anomalies score lower than normal images. They may be simpler pictures than "
            "the normal ones."
        )
    yield from _limits_by_kind(numbers)
    few = [
        counted(n, noun)
        for n, noun in ((len(numbers.normal), "normal image"), (len(numbers.anomalous), "anomaly"))
        if n < 30
    ]
    if few:
        yield f"Few test images ({' and '.join(few)}): every figure has a wide interval."
    asked, alarms = numbers.asked_rate, numbers.false_alarm_rate
    if _too_many_alarms(numbers) and asked is not None:
        yield f"More false alarms than the {per_cent(asked)} that was {numbers.asked}: {rate_text(alarms)}."
    elif asked and alarms.total and alarms.high > 3 * asked:
        yield (
            f"{counted(alarms.total, 'normal test image')} cannot prove a false-alarm rate of "
            f"{per_cent(asked)}: it may be as high as {per_cent(alarms.high)}. {math.ceil(3 / asked)} "
            "without a false alarm would show it."
        )
    drift = numbers.drift
    if drift is not None and drift.visible:
        yield (
            "Normal test images score visibly higher than the normal images of the calibration (higher in "
            f"{per_cent(drift.higher)} of pairs): expect more false alarms than asked."
        )
    if calibration.get("calibrated") is False:
        yield "Uncalibrated: no normal images were left out to set the threshold: it is a guess."
    elif calibration.get("supported") is False:
        yield (
            f"{calibration.get('n')!s} normal images are too few for the false-alarm rate that was "
            "asked; the threshold is their largest score."
        )
    yield from _limits_of_pixels(numbers)
    suspects = [score.image for score in numbers.suspect_normal]
    if suspects:
        yield (
            f"{counted(len(suspects), 'normal image')} above the middle anomaly, perhaps labelled wrongly: "
            f"{listed(suspects)}."
        )
    if (card.ms_per_image or 0) > 1000:
        yield f"Slow: {(card.ms_per_image or 0) / 1000:.2g} s an image."


def _limits_by_kind(numbers: CardNumbers) -> Iterator[str]:
    missed = [kind for kind in numbers.kinds if kind.found.total >= 2 and (kind.found.value or 0) < 0.5]
    ranked = [k for k in missed if (k.auroc or 0) >= 0.9]
    unseen = [k for k in missed if k.auroc is not None and k.auroc < 0.8]
    between = [k for k in missed if k not in unseen and k not in ranked]
    if unseen:
        yield f"Hardly sees these kinds (AUROC below 0.8): {listed(_told(unseen))}."
    if ranked:
        yield f"Ranks these kinds high, but mostly below the threshold: {listed(_told(ranked))}."
    if between:
        yield f"Misses most of: {listed(_told(between))}."


def _limits_of_pixels(numbers: CardNumbers) -> Iterator[str]:
    card = numbers.card
    if (card.image_auroc or 0) >= 0.95 and card.aupro is not None and card.aupro < 0.7:
        yield (
            f"Flags the right images but outlines defects poorly (AUPRO {card.aupro:.3f}): use its verdict, "
            "not its regions."
        )
    if (card.pixel_auroc or 0) >= 0.95 and card.pixel_ap is not None and card.pixel_ap < 0.3:
        yield (
            f"Pixel AUROC ({card.pixel_auroc:.3f}) flatters, because nearly all pixels are normal; pixel AP "
            f"is {card.pixel_ap:.3f}."
        )


def _told(kinds: list[Kind]) -> list[str]:
    return [f"{kind.name} ({kind.found.count} of {kind.found.total} found)" for kind in kinds]


def _recommendations(numbers: CardNumbers, grade: Grade) -> Iterator[str]:
    card = numbers.card
    if grade in ("open", "few"):
        missing = "normal" if len(numbers.normal) <= len(numbers.anomalous) else "anomalous"
        yield f"Add {missing} test images, with labels, and evaluate again."
    drift = numbers.drift
    off = _too_many_alarms(numbers) or (drift is not None and drift.visible)
    calibration = card.calibration or {}
    asked = numbers.asked_rate
    if calibration.get("calibrated") is False or calibration.get("supported") is False:
        if asked:
            yield (
                f"Give at least {math.ceil(1 / asked - 1 - 1e-9)} normal images: so many a false-alarm rate "
                f"of {per_cent(asked)} needs."
            )
    elif off:
        yield (
            "Calibrate on normal images that the model has not seen and that were taken like those to be "
            "checked: `anomalens calibrate MODEL NORMAL --out NEW`."
        )
    if not off:
        yield from _another_rate(numbers)
    unseen = [k for k in numbers.kinds if k.auroc is not None and k.auroc < 0.8 and k.found.total >= 2]
    size = card.settings.get("fitted_size")
    if unseen and isinstance(size, list) and size and type(size[0]) is int:
        larger = ""
        if size[0] < 256:
            larger = f"try `--size {2 * size[0]}`, small defects may vanish at {size[0]} px; or "
        names = listed([k.name for k in unseen])
        yield f"For {names}: {larger}try another detector (`anomalens detectors`)."
    if numbers.suspect_normal:
        yield "Look at the normal images named above before trusting a figure: a wrong label moves all."
    if grade == "good":
        yield "Try it on pictures of your own that nobody has tuned on, and count its false alarms there."


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
        f"If a miss costs more than a false alarm: a false-alarm rate of {per_cent(rate)} would have found "
        f"{hits} instead of {found.count} of {found.total} here, with {counted(alarms, 'false alarm')} in "
        f"{counted(len(numbers.normal), 'normal image')}: "
        f"`anomalens calibrate MODEL --false-alarm-rate {rate:g} --out NEW`."
    )

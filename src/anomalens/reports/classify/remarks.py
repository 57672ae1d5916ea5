"""Strengths, limits and recommendations in plain sentences, from the figures of a classifier's card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from anomalens.metrics.verdicts import Rate
from anomalens.reports.classify.numbers import ClassifierNumbers, OodRow
from anomalens.reports.parts.texts import counted, listed, per_cent

_GOOD, _WEAK = 0.95, 0.85  # AUROC of a set that is told apart well, and one that is not
_FEW: Final = 30  # pictures of a class, below which its figures are anecdotes
_CALIBRATED: Final = 1.5  # times the error of a perfect classifier
_BETTER: Final = 0.02  # of the mean AUROC, from which another score is worth naming
_BEHIND: Final = 0.15  # of recall below the mean, from which a class is a weak one


@dataclass(frozen=True)
class Remarks:
    """Sentences; commands in them stand between backticks."""

    strengths: tuple[str, ...]
    limits: tuple[str, ...]
    recommendations: tuple[str, ...]


def remarks_on(numbers: ClassifierNumbers) -> Remarks:
    """What the figures say, and nothing that they don't."""
    return Remarks(
        tuple(_strengths(numbers)), tuple(_limits(numbers)), tuple(dict.fromkeys(_recommendations(numbers)))
    )


def _strengths(numbers: ClassifierNumbers) -> Iterator[str]:
    right, largest = numbers.right, int(numbers.confusion.sum(axis=1).max())
    if right.low > largest / numbers.n:
        yield (
            f"It names {per_cent(right.value)} of the pictures rightly; always naming the commonest class "
            f"would get {per_cent(largest / numbers.n)}."
        )
    error, perfect = _calibration(numbers)
    if perfect is not None and error <= _CALIBRATED * perfect:
        yield (
            f"Its confidence can be believed: the calibration error of {error:.3f} is near what chance alone "
            f"would give ({perfect:.3f})."
        )
    if apart := [f"{row.dataset} ({row.auroc:.3f})" for row in _used_rows(numbers) if row.auroc >= _GOOD]:
        yield f"Pictures of {listed(apart)} are told from known ones well (AUROC; 1 is perfect)."
    alarms, asked = numbers.false_alarms, numbers.card.get("asked")
    if alarms is not None and asked is not None and alarms.low <= asked <= alarms.high:
        yield (
            f"The false-alarm rate is kept: {per_cent(asked)} was asked, {per_cent(alarms.value)} of new "
            "pictures of known classes are called none of them."
        )


def _limits(numbers: ClassifierNumbers) -> Iterator[str]:
    for name, recall, n in _weak_classes(numbers):
        yield f"Of {counted(n, 'picture')} of “{name}” it names only {per_cent(recall)} rightly."
    if pairs := numbers.pairs(1):
        truth, said, n, share = pairs[0]
        yield f"The commonest confusion: {per_cent(share)} of “{truth}” ({n}) are taken for “{said}”."
    if few := [one["name"] for one in numbers.card["per_class"] if one["n"] < _FEW]:
        yield (
            f"Fewer than {_FEW} test pictures show {listed(few)}: figures of such a class can be chance."
            if len(few) < len(numbers.names)
            else f"No class has {_FEW} test pictures: figures of single classes can be chance."
        )
    error, perfect = _calibration(numbers)
    if perfect is not None and error > _CALIBRATED * perfect:
        yield (
            f"Its confidence is not to be taken literally: the calibration error is {error:.3f}, and a "
            f"perfectly calibrated classifier would show {perfect:.3f}{_direction(numbers)}."
        )
    if alike := [f"{row.dataset} ({row.auroc:.3f})" for row in _used_rows(numbers) if row.auroc < _WEAK]:
        yield f"Pictures of {listed(alike)} look much like known ones to it (AUROC; 0.5 is guessing)."
    missed = [row for row in _used_rows(numbers) if row.recall is not None and row.recall < 0.5]
    if missed:
        told = listed([f"{per_cent(row.recall)} of {row.dataset}" for row in missed])
        yield f"At its threshold it calls only {told} none of the classes."
    if broken := _rate_missed(numbers):
        alarms, asked = broken
        yield (
            f"The false-alarm rate is not kept: {per_cent(asked)} was asked, and {per_cent(alarms.value)} of "
            "new pictures of known classes are called none of them."
        )
    if not numbers.ood:
        yield "Nothing is known of pictures that belong to no class: no other set was given."


def _recommendations(numbers: ClassifierNumbers) -> Iterator[str]:
    weak = _weak_classes(numbers)
    counts = numbers.confusion.sum(axis=1)
    rare = [name for name, _, n in weak if n < 0.5 * float(counts.mean())]
    if rare:
        yield (
            f"Collect more pictures of {listed(rare)}, or fit with balanced sampling: rare classes are "
            "underestimated by a plain fit."
        )
    if pairs := numbers.pairs(1):
        truth, said, _, share = pairs[0]
        if share >= 0.1:
            yield (
                f"Look at the confusions of “{truth}” and “{said}” below; where labels may be wrong, "
                "`anomalens classify doubts DATASET --report DIR` lists the likeliest ones."
            )
    error, perfect = _calibration(numbers)
    if perfect is not None and error > _CALIBRATED * perfect:
        yield "Fit the temperature on pictures that the classifier did not learn from, of the kind to come."
    if better := _better_score(numbers):
        name, mean = better
        used = numbers.used or ""
        yield (
            f"The score `{name}` tells these sets apart better than `{used}` (mean AUROC {mean:.3f} against "
            f"{numbers.mean_auroc(used):.3f}). Confirm that on sets not looked at yet before choosing it."
        )
    if _rate_missed(numbers):
        yield "Calibrate again with pictures of the day and the camera that the classifier will see."
    if not numbers.ood:
        yield "Give sets of pictures of no known class with `--ood DATASET`, near ones above all."


def _used_rows(numbers: ClassifierNumbers) -> list[OodRow]:
    rows = (numbers.row(name, numbers.used) for name in numbers.sets)
    return [row for row in rows if row is not None]


def _weak_classes(numbers: ClassifierNumbers) -> list[tuple[str, float, int]]:
    """At most three classes far behind the others in recall, weakest first."""
    known = [one for one in numbers.card["per_class"] if one["n"]]
    mean = sum(one["recall"] for one in known) / len(known)
    weak = [one for one in known if one["recall"] < mean - _BEHIND or one["recall"] < 0.5]
    weak.sort(key=lambda one: one["recall"])
    return [(one["name"], one["recall"], one["n"]) for one in weak[:3]]


def _calibration(numbers: ClassifierNumbers) -> tuple[float, float | None]:
    perfect = numbers.card.get("calibration_error_if_perfect")
    return float(numbers.card["calibration_error"]), None if perfect is None else float(perfect)


def _direction(numbers: ClassifierNumbers) -> str:
    """Whether it is too sure or too modest, from the bins."""
    bins = [b for b in numbers.card.get("reliability", ()) if b["n"]]
    if not bins:
        return ""
    gap = sum(b["n"] * (b["confidence"] - b["accuracy"]) for b in bins) / sum(b["n"] for b in bins)
    return f"; it is too {'sure' if gap > 0 else 'modest'} by {abs(100 * gap):.1f} points on average"


def _rate_missed(numbers: ClassifierNumbers) -> tuple[Rate, float] | None:
    alarms, asked = numbers.false_alarms, numbers.card.get("asked")
    if alarms is None or asked is None or alarms.low <= asked <= alarms.high:
        return None
    return alarms, float(asked)


def _better_score(numbers: ClassifierNumbers) -> tuple[str, float] | None:
    used = numbers.used
    if used is None or used not in numbers.scores:
        return None
    best = max(numbers.scores, key=numbers.mean_auroc)
    mean = numbers.mean_auroc(best)
    return (best, mean) if mean >= numbers.mean_auroc(used) + _BETTER else None

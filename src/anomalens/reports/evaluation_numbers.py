"""What a report derives from one result card: scores by class, kinds of anomaly, worst images, drift.

Nothing is fitted or looked up again; cards come from files, so their types are checked here, once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration import Policy
from anomalens.errors import InputError, SettingError
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.images.layout import GOOD
from anomalens.metrics.ranking import image_auroc
from anomalens.metrics.verdicts import Rate, clopper_pearson

Scores = NDArray[np.float64]

_COUNTS: Final = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Kind:
    """One kind of anomaly: how many are flagged, and how far it is above the normal images."""

    name: str
    found: Rate
    auroc: float | None
    median: float


@dataclass(frozen=True)
class Drift:
    """Normal test images against the normal images of the calibration.

    Attributes
    ----------
    higher : float
        P(a test normal scores above a calibration normal), ties half; 0.5 where they are alike.
    p : float
        One-sided Mann–Whitney test of "test normals score higher".
    """

    higher: float
    p: float

    @property
    def visible(self) -> bool:
        """Whether it is more than chance and more than a trifle."""
        return self.p < 0.01 and self.higher > 0.6


@dataclass(frozen=True, eq=False)
class CardNumbers:
    """A card without an error, and what follows from its scores."""

    card: ResultCard

    @cached_property
    def answered(self) -> tuple[ImageScore, ...]:
        """Images that have a finite score, in the card's order."""
        return tuple(s for s in self.card.scores if s.score is not None and math.isfinite(s.score))

    @cached_property
    def unanswered(self) -> tuple[ImageScore, ...]:
        """Images that could not be read, or whose score is no number."""
        return tuple(s for s in self.card.scores if s.score is None or not math.isfinite(s.score))

    @cached_property
    def normal(self) -> Scores:
        """Scores of normal test images, ascending."""
        return _ascending(s for s in self.answered if s.label == GOOD)

    @cached_property
    def anomalous(self) -> Scores:
        """Scores of anomalous test images, ascending."""
        return _ascending(s for s in self.answered if s.label != GOOD)

    @cached_property
    def calibration(self) -> Scores:
        """Scores of the normal images that the threshold comes from, ascending; perhaps empty."""
        values = (self.card.calibration or {}).get("scores") or []
        return np.sort(np.array(values, np.float64))

    @cached_property
    def false_alarms(self) -> tuple[ImageScore, ...]:
        """Flagged normal images, highest score first."""
        return self._sorted(lambda s: s.label == GOOD and bool(s.anomalous), descending=True)

    @cached_property
    def misses(self) -> tuple[ImageScore, ...]:
        """Anomalous images that are not flagged, lowest score first."""
        return self._sorted(lambda s: s.label != GOOD and not s.anomalous, descending=False)

    @cached_property
    def quiet_normal(self) -> tuple[ImageScore, ...]:
        """Normal images that are not flagged, highest score first."""
        return self._sorted(lambda s: s.label == GOOD and not s.anomalous, descending=True)

    @cached_property
    def found(self) -> tuple[ImageScore, ...]:
        """Flagged anomalous images, lowest score first."""
        return self._sorted(lambda s: s.label != GOOD and bool(s.anomalous), descending=False)

    @cached_property
    def false_alarm_rate(self) -> Rate:
        return clopper_pearson(len(self.false_alarms), len(self.normal))

    @cached_property
    def detection_rate(self) -> Rate:
        return clopper_pearson(len(self.found), len(self.anomalous))

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of anomaly, the one that is found least first."""
        by_label: dict[str, list[ImageScore]] = {}
        for score in self.answered:
            if score.label != GOOD:
                by_label.setdefault(score.label, []).append(score)
        kinds = []
        for name, members in by_label.items():
            scores = _ascending(members)
            auroc = None
            if len(self.normal):
                both = np.concatenate([self.normal, scores])
                auroc = image_auroc(both, np.arange(len(both)) >= len(self.normal))
            found = clopper_pearson(sum(bool(s.anomalous) for s in members), len(members))
            kinds.append(Kind(name, found, auroc, float(np.median(scores))))
        return tuple(sorted(kinds, key=lambda k: (k.found.value or 0.0, k.auroc or 0.0, k.name)))

    @cached_property
    def drift(self) -> Drift | None:
        """None where there are too few images on one side to say anything."""
        if min(len(self.normal), len(self.calibration)) < 8:
            return None
        from scipy.stats import mannwhitneyu

        if self.normal[0] == self.normal[-1] == self.calibration[0] == self.calibration[-1]:
            return Drift(0.5, 1.0)
        test = mannwhitneyu(self.normal, self.calibration, alternative="greater", method="asymptotic")
        return Drift(float(test.statistic) / (len(self.normal) * len(self.calibration)), float(test.pvalue))

    @cached_property
    def asked_rate(self) -> float | None:
        """The false-alarm rate that was asked for; else the one that the calibration expects."""
        told = self.card.calibration or {}
        try:
            policy = Policy.parse(str(told.get("policy", "")))
        except SettingError:
            policy = None
        if policy is not None and policy.kind in ("false-alarm-rate", "pareto"):
            return policy.value
        rate = told.get("rate")
        return float(rate) if isinstance(rate, int | float) else None

    @cached_property
    def suspect_normal(self) -> tuple[ImageScore, ...]:
        """Normal images that score above the middle anomaly: perhaps they are labelled wrongly."""
        if not len(self.anomalous):
            return ()
        middle = float(np.median(self.anomalous))
        both = (*self.false_alarms, *self.quiet_normal)
        return tuple(s for s in both if (s.score or 0.0) > middle)

    def counts_above(self, threshold: float) -> tuple[int, int, int]:
        """False alarms, misses, and calibration scores above a threshold."""
        return (
            len(self.normal) - int(np.searchsorted(self.normal, threshold, side="right")),
            int(np.searchsorted(self.anomalous, threshold, side="right")),
            len(self.calibration) - int(np.searchsorted(self.calibration, threshold, side="right")),
        )

    def _sorted(self, wanted: Any, *, descending: bool) -> tuple[ImageScore, ...]:
        members = [s for s in self.answered if wanted(s)]
        return tuple(sorted(members, key=lambda s: s.score or 0.0, reverse=descending))


def _ascending(scores: Any) -> Scores:
    return np.sort(np.array([s.score for s in scores], np.float64))


def checked_card(card: ResultCard) -> ResultCard:
    """The card itself, where every value has the type that the page needs.

    Raises
    ------
    InputError
        The sentence names the card and the value.
    """
    for f in fields(card):
        value = getattr(card, f.name)
        if not _fits(f.name, str(f.type), value):
            raise InputError(
                f"The result card of {str(card.dataset)!r:.60} says {f.name} = {value!r:.60}, which is no "
                "value for it; evaluate again."
            )
    return card


def _fits(name: str, kind: str, value: Any) -> bool:
    if value is None:
        return "None" in kind
    if name == "scores":
        return all(
            isinstance(s.image, str)
            and isinstance(s.label, str)
            and _number_or_none(s.score)
            and _number_or_none(s.p_value)
            and (s.anomalous is None or isinstance(s.anomalous, bool))
            and (s.error is None or isinstance(s.error, str))
            for s in value
        )
    if name == "confusion":
        return isinstance(value, Mapping) and all(type(value.get(key)) is int for key in _COUNTS)
    if name == "ci":
        return isinstance(value, Mapping) and all(
            isinstance(v, Sequence) and len(v) == 2 and all(_finite(x) for x in v) for v in value.values()
        )
    if name == "calibration":
        scores = value.get("scores") if isinstance(value, Mapping) else ()
        return isinstance(value, Mapping) and (
            scores is None or (isinstance(scores, list) and all(_finite(x) for x in scores))
        )
    if name == "notes":
        return isinstance(value, list | tuple) and all(isinstance(x, str) for x in value)
    if kind.startswith("Mapping"):
        return isinstance(value, Mapping)
    if kind.startswith("float"):
        return _finite(value)
    if kind.startswith("int"):
        return type(value) is int
    return isinstance(value, str)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _number_or_none(value: Any) -> bool:
    return value is None or type(value) in (int, float)

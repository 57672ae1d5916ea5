"""What a report derives from one result card: scores by class, kinds of anomaly, worst images, drift."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from anomalens.calibration import Policy
from anomalens.errors import SettingError
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.images.labels import GOOD
from anomalens.metrics.p_values import PValueAudit
from anomalens.metrics.ranking import image_auroc
from anomalens.metrics.verdicts import Rate, clopper_pearson
from anomalens.reports.parts.score_chart import Scores

Group = Literal["miss", "false-alarm", "found", "quiet"]


def group_of(label: str, flagged: bool) -> Group:
    """What a verdict is, by what the image is known to be."""
    if label == GOOD:
        return "false-alarm" if flagged else "quiet"
    return "found" if flagged else "miss"


def telling(label: str, score: float) -> float:
    """How far a score is on its right side: lowest for the worst misses and the worst false alarms."""
    return -score if label == GOOD else score


@dataclass(frozen=True)
class Kind:
    """One kind of anomaly: how many are flagged, and how far it is above the normal images."""

    name: str
    found: Rate
    auroc: float | None
    median: float


@dataclass(frozen=True)
class Drift:
    """Normal test images against those of the calibration: how often higher (alike: 0.5), Mann–Whitney p."""

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
    def groups(self) -> dict[Group, tuple[ImageScore, ...]]:
        """Images by what they are and what was said of them, the most telling first."""
        found: dict[Group, list[ImageScore]] = {"miss": [], "false-alarm": [], "found": [], "quiet": []}
        for score in sorted(self.answered, key=lambda s: telling(s.label, s.score or 0.0)):
            found[group_of(score.label, bool(score.anomalous))].append(score)
        return {group: tuple(members) for group, members in found.items()}

    @cached_property
    def false_alarm_rate(self) -> Rate:
        return clopper_pearson(len(self.groups["false-alarm"]), len(self.normal))

    @cached_property
    def detection_rate(self) -> Rate:
        return clopper_pearson(len(self.groups["found"]), len(self.anomalous))

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
    def audit(self) -> PValueAudit | None:
        """p-values of normal test images against uniform, where the card was asked for that."""
        p = [s.p_value for s in self.answered if s.label == GOOD and s.p_value is not None]
        groups = (self.card.calibration or {}).get("n_groups")
        if self.card.audit is None or not p or type(groups) is not int or groups < 1:
            return None
        return PValueAudit.of(p, groups) if min(p) >= 0 and max(p) <= 1 else None

    @cached_property
    def policy(self) -> Policy | None:
        """How the threshold was chosen, where the card says it in words that are known here."""
        try:
            return Policy.parse(str((self.card.calibration or {}).get("policy", "")))
        except SettingError:
            return None

    @property
    def asked(self) -> str:
        """Where `asked_rate` comes from, in a word."""
        rates = ("false-alarm-rate", "pareto")
        return "asked" if self.policy is not None and self.policy.kind in rates else "expected"

    @cached_property
    def asked_rate(self) -> float | None:
        """The false-alarm rate that was asked for; else the one that the calibration expects."""
        if self.asked == "asked" and self.policy is not None:
            return self.policy.value
        rate = (self.card.calibration or {}).get("rate")
        return float(rate) if isinstance(rate, int | float) else None

    @cached_property
    def suspect_normal(self) -> tuple[ImageScore, ...]:
        """Normal images that score above the middle anomaly: perhaps they are labelled wrongly."""
        if not len(self.anomalous):
            return ()
        middle = float(np.median(self.anomalous))
        both = (*self.groups["false-alarm"], *self.groups["quiet"])
        return tuple(s for s in both if (s.score or 0.0) > middle)

    def counts_above(self, threshold: float) -> tuple[int, int, int]:
        """False alarms, misses, and calibration scores above a threshold."""
        return (
            len(self.normal) - int(np.searchsorted(self.normal, threshold, side="right")),
            int(np.searchsorted(self.anomalous, threshold, side="right")),
            len(self.calibration) - int(np.searchsorted(self.calibration, threshold, side="right")),
        )


def _ascending(scores: Iterable[ImageScore]) -> Scores:
    return np.sort(np.array([s.score for s in scores], np.float64))

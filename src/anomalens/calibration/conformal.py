"""Calibration: what normal images score, and what follows for a new score.

The scores come from normal images that the scored model did not learn from (out-of-fold by group, or
held out). The final model then learns from all normal images, so the p-values are approximately, not
exactly, valid; the benchmark measures the realised false-alarm rate. Reference: Vovk, Gammerman &
Shafer 2005, ch. 4; Barber et al. 2021 (cross-conformal, "jackknife+"). Among the
highest scores a fitted tail says p (`predictive_tail.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration.policies import Policy, Threshold
from anomalens.calibration.predictive_tail import PredictiveTail
from anomalens.errors import ModelFileError, SettingError

Method = Literal["out-of-fold", "held-out", "augmented", "unlike"]
METHODS: Final = ("out-of-fold", "held-out", "augmented", "unlike")
Verdict = Literal["ok", "look", "reject"]
REJECT_SHARE: Final = 0.2  # of what is flagged by chance, a fifth is rejected
MIN_OF_CLASS: Final = 16  # normal images of a class, from which its own rate is about the asked one
MIN_GROUPS: Final = 3  # below this nothing can be left out and still leave something to learn from


def p_values(scores: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Conformal p-values, p = (1 + #{s_i ≥ s}) / (n + 1).

    Parameters
    ----------
    scores : float64 [m]
    normal : float64 [n]
        Calibration scores, in any order.

    Returns
    -------
    float64 [m], in (0, 1]; a NaN score gives p = 1/(n+1), never a quiet pass.
    """
    normal = np.sort(np.asarray(normal, np.float64))
    scores = np.asarray(scores, np.float64)
    at_least = len(normal) - np.searchsorted(normal, scores, side="left")
    return np.asarray((1 + at_least) / (len(normal) + 1), np.float64)


@dataclass(frozen=True)
class Calibration:
    """Scores of normal images, and the policy that turns them into verdicts.

    Attributes
    ----------
    scores : float64 [n]
        Image scores of normal images, ascending.
    map_maxima : float64 [n] or None
        The largest map value of each of them, ascending; None for image-level detectors.
    n_groups : int
        Number of independent groups among them.
    method : {"out-of-fold", "held-out", "augmented", "unlike"}
        Where the scores come from. With "augmented" there were too few images to leave any out, with
        "unlike" the left-out images, or the models that scored them, are unlike those to come: the
        verdicts are then marked uncalibrated.
    policy : Policy
    threshold : Threshold
    tail : PredictiveTail or None
        How rare the highest scores are; None in models of earlier versions, and where all scores are equal.
    by_class : mapping of str to Calibration
        The same of the normal images of one class alone, where p-values are to hold for each (Mondrian
        conformal prediction: Vovk et al. 2005, ch. 4.5).
    """

    scores: NDArray[np.float64]
    map_maxima: NDArray[np.float64] | None
    n_groups: int
    method: Method
    policy: Policy
    threshold: Threshold
    tail: PredictiveTail | None = None
    by_class: Mapping[str, Calibration] = field(default_factory=dict)

    @classmethod
    def from_scores(
        cls,
        scores: NDArray[np.float64],
        map_maxima: NDArray[np.float64] | None = None,
        *,
        policy: Policy | None = None,
        method: Method = "out-of-fold",
        n_groups: int | None = None,
        anomalous: NDArray[np.float64] | None = None,
    ) -> Calibration:
        """Sort the normal scores and choose the threshold.

        Raises
        ------
        SettingError
            No score, a score that is not finite, or a policy that cannot be satisfied.
        """
        scores = np.sort(np.asarray(scores, np.float64))
        if not np.isfinite(scores).all():
            raise SettingError(
                f"{int((~np.isfinite(scores)).sum())} of {len(scores)} normal images have a score "
                "that is not a finite number; leave them out or use another backbone."
            )
        maxima = None if map_maxima is None else np.sort(np.asarray(map_maxima, np.float64))
        policy = policy or Policy()
        n_groups = len(scores) if n_groups is None else n_groups
        tail = PredictiveTail.fit(scores, n_groups)
        threshold = _by_groups(policy.threshold(scores, anomalous, tail=tail), policy, n_groups, len(scores))
        return cls(scores, maxima, n_groups, method, policy, threshold, tail)

    def with_classes(self, parts: Mapping[str, Calibration]) -> Calibration:
        """The same, and beside it what is known of each class that has enough normal images."""
        return replace(self, by_class={k: one for k, one in parts.items() if len(one.scores) >= MIN_OF_CLASS})

    def of(self, class_name: str | None) -> Calibration:
        """What images of a class are judged by: their own normal images, or all where these are too few."""
        return self if class_name is None else self.by_class.get(class_name, self)

    def with_policy(self, policy: Policy, *, anomalous: NDArray[np.float64] | None = None) -> Calibration:
        """The same normal scores under another policy."""
        threshold = policy.threshold(self.scores, anomalous, tail=self.tail)
        threshold = _by_groups(threshold, policy, self.n_groups, len(self.scores))
        classes = (
            {} if policy.needs_labels else {k: one.with_policy(policy) for k, one in self.by_class.items()}
        )
        return replace(self, policy=policy, threshold=threshold, by_class=classes)

    @property
    def calibrated(self) -> bool:
        """Whether verdicts rest on images that the model did not learn from."""
        return self.method not in ("augmented", "unlike")

    def p_value(self, score: float) -> float:
        """The share of new normal images that score as high as one raw score, or higher."""
        if self.tail is not None and score > self.tail.start:
            return self.tail.p_value(score)
        return float(p_values(np.array([score]), self.scores)[0])

    def percentile(self, score: float) -> float:
        """Per cent of the normal images that score lower, 0 to 100."""
        return 100.0 * float(np.searchsorted(self.scores, score, side="left")) / len(self.scores)

    def is_anomalous(self, score: float) -> bool:
        """The verdict; a NaN score is anomalous, never quietly normal."""
        return not score <= self.threshold.value

    def verdict(self, score: float) -> Verdict:
        """What to do with an image: "ok", "look" where it is anomalous, "reject" where that is plain.

        A fifth of the normal images that are flagged are rejected: one in a hundred, where one in twenty
        is flagged.
        """
        if not self.is_anomalous(score):
            return "ok"
        rare = self.p_value(score) <= REJECT_SHARE * self.threshold.expected_rate * (1 + 1e-12)
        return "reject" if rare or math.isnan(score) else "look"

    @property
    def region_threshold(self) -> float | None:
        """Map value above which a pixel belongs to a region.

        It is as rare among the normal maps' maxima as the image threshold is among the normal scores, so no
        larger share of normal images shows a region than is flagged. In models of earlier versions a
        threshold beyond all normal scores is carried over in proportion.
        """
        if self.map_maxima is None:
            return None
        level = self.threshold.value
        if self.tail is not None and level > self.tail.start:
            tail = PredictiveTail.fit(self.map_maxima, self.n_groups)
            if tail is not None and tail.share > (rate := self.tail.p_value(level)):
                return tail.score(rate)
        above = int(np.sum(self.scores > level))
        highest = float(self.map_maxima[-1])
        if above == 0:
            top = float(self.scores[-1])
            return max(highest, highest * (level / top)) if level > top > 0 else highest
        return float(self.map_maxima[max(0, len(self.map_maxima) - 1 - above)])

    @property
    def region_floor(self) -> float | None:
        """Map value down to which a region that reaches above the region threshold extends.

        Half of the normal images do not reach it anywhere. The colours of a heat map begin here too, so
        that boxes hold what the map shows.
        """
        return None if self.map_maxima is None else float(np.median(self.map_maxima))

    def rate_interval(self) -> tuple[float, float] | None:
        """95 % interval of the false-alarm rate that the threshold realises on new normal images.

        Given k scores at or above the threshold among n exchangeable ones, the rate follows
        Beta(k, n + 1 − k) (Vovk 2012, conditional validity). Groups, not images, are counted, and k is the
        number that the expected rate stands for, or one where that is less. Needs SciPy; None where the
        rate is extrapolated by `pareto`.
        """
        from scipy.stats import beta

        if self.policy.kind == "pareto":
            return None
        n = self.n_groups
        k = min(n, max(1.0, self.threshold.expected_rate * (n + 1)))
        low, high = beta.ppf([0.025, 0.975], k, n + 1 - k)
        return float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for the model file's card; floats keep every bit."""
        return {
            "scores": self.scores.tolist(),
            "map_maxima": None if self.map_maxima is None else self.map_maxima.tolist(),
            "n_groups": self.n_groups,
            "method": self.method,
            "policy": str(self.policy),
            "tail": None if self.tail is None else self.tail.to_json(),
            "threshold": {
                "value": self.threshold.value,
                "expected_rate": self.threshold.expected_rate,
                "supported": self.threshold.supported,
                "note": self.threshold.note,
            },
            **({"by_class": {k: one.to_json() for k, one in self.by_class.items()}} if self.by_class else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` wrote.

        Raises
        ------
        ModelFileError
            A key is missing or holds something else than numbers.
        """
        try:
            scores = _ascending(data["scores"])
            maxima = None if data["map_maxima"] is None else _ascending(data["map_maxima"])
            threshold, method, n_groups = data["threshold"], data["method"], data["n_groups"]
            if maxima is not None and maxima.shape != scores.shape:
                raise ValueError("not as many map maxima as scores")
            if method not in METHODS or type(n_groups) is not int:
                raise ValueError("an unknown method or number of groups")
            if not 1 <= n_groups <= len(scores):
                raise ValueError("more groups than scores, or none")
            if type(threshold["supported"]) is not bool or not isinstance(threshold["note"], str):
                raise ValueError("a damaged threshold")
            return cls(
                scores,
                maxima,
                n_groups,
                method,
                Policy.parse(data["policy"]),
                Threshold(
                    _number(threshold["value"]),
                    _number(threshold["expected_rate"]),
                    threshold["supported"],
                    threshold["note"],
                ),
                None if data.get("tail") is None else PredictiveTail.from_json(data["tail"]),
                {str(name): cls.from_json(one) for name, one in data.get("by_class", {}).items()},
            )
        except (
            KeyError, TypeError, ValueError, AttributeError, OverflowError, SettingError,
        ) as error:  # fmt: skip
            raise ModelFileError(
                f"The calibration in the model file cannot be read ({error}); fit the model again."
            ) from None


def _by_groups(threshold: Threshold, policy: Policy, n_groups: int, n: int) -> Threshold:
    """Exposures of one part are no independent witnesses: say so where groups cannot support the rate."""
    if policy.kind != "false-alarm-rate" or not threshold.supported or policy.value is None:
        return threshold
    if (n_groups + 1) * policy.value >= 1 - 1e-9:
        return threshold
    note = (
        f"A false-alarm rate of {policy.value:g} needs {math.ceil(1 / policy.value - 1 - 1e-9)} independent "
        f"groups of normal images; these {n} images are {n_groups} groups, which support "
        f"{1 / (n_groups + 1):.3g}: the threshold is extrapolated from their highest scores."
    )
    return replace(threshold, supported=False, note=note)


def _ascending(values: object) -> NDArray[np.float64]:
    if not isinstance(values, list) or not values:
        raise ValueError("no list of scores")
    found = np.array([_number(value) for value in values], np.float64)
    if (np.diff(found) < 0).any():
        raise ValueError("scores that do not ascend")
    return found


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)  # type: ignore[arg-type]

"""Threshold policies: normal scores in, one number out; an image is flagged when its score is above it.

Every policy answers with a `Threshold`, which also says what share of normal images it expects to
flag and whether the calibration images could support what was asked.

| text                     | threshold |
| ------------------------ | --------- |
| `false-alarm-rate=R`     | flag where p ≤ R (the default, R = 0.05); small ones by a fitted tail |
| `quantile=Q`             | the Q-quantile of the normal scores |
| `max`                    | the largest normal score |
| `mean-sigma=K`           | mean + K standard deviations |
| `pareto=R`               | tail fitted by a generalised Pareto distribution, for rates below 1/(n+1) |
| `f1`, `youden`           | best F1, best TPR − FPR; both need labelled anomalies |
| `given=X`                | X itself, chosen by a person; every answer says so |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration.predictive_tail import PredictiveTail
from anomalens.errors import SettingError, unknown_name

DEFAULT_RATE: Final = 0.05

# kind -> (default value, lowest, highest); None where the policy takes no value
_KINDS: Final[dict[str, tuple[float, float, float] | None]] = {
    "false-alarm-rate": (DEFAULT_RATE, 1e-9, 0.5),
    "quantile": (0.99, 0.5, 1.0),
    "max": None,
    "mean-sigma": (3.0, 0.0, 100.0),
    "pareto": (0.001, 1e-9, 0.1),
    "f1": None,
    "youden": None,
    "given": (math.nan, -math.inf, math.inf),  # there is no default
}
_NEEDS_LABELS: Final = frozenset({"f1", "youden"})


@dataclass(frozen=True)
class Threshold:
    """What a policy decided.

    Attributes
    ----------
    value : float
        Raw score; an image is flagged when its score is greater.
    expected_rate : float
        Share of normal images that the calibration scores expect to be flagged.
    supported : bool
        False where there were too few normal images for the asked rate.
    note : str
        One sentence where the user must know something, else empty.
    """

    value: float
    expected_rate: float
    supported: bool = True
    note: str = ""


@dataclass(frozen=True)
class Policy:
    """How a threshold is chosen; see the module's table.

    Attributes
    ----------
    kind : str
        One of the names in the module's table.
    value : float or None
        The policy's number, None where it takes none.
    """

    kind: str = "false-alarm-rate"
    value: float | None = DEFAULT_RATE

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise unknown_name("threshold policy", self.kind, _KINDS)
        limits = _KINDS[self.kind]
        if limits is None:
            if self.value is not None:
                raise SettingError(f"The policy {self.kind!r} takes no value; it was given {self.value}.")
            return
        default, low, high = limits
        value = default if self.value is None else self.value
        if not (math.isfinite(value) and low <= value <= high):
            raise SettingError(
                f"The policy {self.kind!r} was given {value}; give a number from {low:g} to {high:g}."
            )
        object.__setattr__(self, "value", float(value))

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read `kind` or `kind=number`, as the command line gives it."""
        kind, equals, number = text.strip().partition("=")
        if not equals:
            return cls(kind, None)
        try:
            return cls(kind, float(number))
        except ValueError:
            raise SettingError(
                f"The policy {text!r} has no readable number after '='; write e.g. mean-sigma=3."
            ) from None

    def __str__(self) -> str:
        if self.value is None:
            return self.kind
        short = f"{self.value:g}"
        return f"{self.kind}={short if float(short) == self.value else repr(self.value)}"

    @property
    def needs_labels(self) -> bool:
        """Whether the policy needs scores of labelled anomalies."""
        return self.kind in _NEEDS_LABELS

    def threshold(
        self,
        normal: NDArray[np.float64],
        anomalous: NDArray[np.float64] | None = None,
        *,
        tail: PredictiveTail | None = None,
    ) -> Threshold:
        """Choose the threshold.

        Parameters
        ----------
        normal : float64 [n]
            Scores of normal images that the model did not learn from, n ≥ 1.
        anomalous : float64 [m], optional
            Scores of labelled anomalies; only `f1` and `youden` use them.
        tail : PredictiveTail, optional
            How rare the highest scores are; a false-alarm rate without one takes steps of 1 / (n + 1).

        Raises
        ------
        SettingError
            A policy that needs labels gets none, or too few scores for a tail fit.
        """
        normal = np.sort(np.asarray(normal, np.float64))
        n = len(normal)
        if n == 0:
            raise SettingError("A threshold needs the score of at least one normal image.")
        value = self.value
        if self.kind == "false-alarm-rate":
            assert value is not None
            return _conformal(normal, value, tail)
        if self.kind == "pareto":
            assert value is not None
            return _pareto(normal, value)
        if self.needs_labels:
            if anomalous is None or len(anomalous) == 0:
                raise SettingError(
                    f"The policy {self.kind!r} needs labelled anomalies to choose a threshold; give a "
                    "manifest with labels, or use false-alarm-rate, which needs normal images only."
                )
            level = _best_split(normal, np.asarray(anomalous, np.float64), self.kind)
        elif self.kind == "quantile":
            assert value is not None
            level = float(np.quantile(normal, value))
        elif self.kind == "max":
            level = float(normal[-1])
        elif self.kind == "given":
            assert value is not None
            return _given(normal, value, tail)
        else:
            assert value is not None
            level = float(normal.mean() + value * normal.std())
        return Threshold(level, (1 + float(np.sum(normal > level))) / (n + 1))


def _conformal(normal: NDArray[np.float64], rate: float, tail: PredictiveTail | None = None) -> Threshold:
    """p(s) = (1 + #{s_i ≥ s}) / (n + 1) ≤ rate  ⇔  s is above the k-th largest, k = ⌊rate (n + 1)⌋.

    Where a tail says p, it says the threshold too, and beyond the largest score it extrapolates.
    """
    n = len(normal)
    k = math.floor(rate * (n + 1) * (1 + 1e-12))  # 0.05 * 20 must count as 1
    value = float(normal[n - max(1, k)])
    by_tail = tail is not None and rate <= tail.share
    if tail is not None:
        value = tail.score(rate) if by_tail else min(value, tail.start)
    if k >= 1:
        return Threshold(value, rate if by_tail else k / (n + 1))
    need = math.ceil(1 / rate - 1 - 1e-9)
    few = f"A false-alarm rate of {rate:g} needs {need} normal images for calibration and there are {n}: "
    if by_tail:
        return Threshold(
            value,
            rate,
            supported=False,
            note=f"{few}the threshold is extrapolated from their highest scores.",
        )
    return Threshold(
        value,
        1 / (n + 1),
        supported=False,
        note=f"{few}scores above the largest of them are flagged, a rate of about {1 / (n + 1):.3g}.",
    )


def _given(normal: NDArray[np.float64], level: float, tail: PredictiveTail | None) -> Threshold:
    """A person's threshold; the share of normal images above it is counted, or extrapolated by the tail."""
    rate = (1 + float(np.sum(normal > level))) / (len(normal) + 1)
    if tail is not None and level > tail.start:
        rate = tail.p_value(level)
    return Threshold(
        level, rate, note=f"The threshold {level:.6g} was given, not chosen by a false-alarm rate."
    )


def _pareto(normal: NDArray[np.float64], rate: float) -> Threshold:
    """Peaks over threshold (Pickands 1975): the excesses over the 90 % quantile, extrapolated."""
    from scipy.stats import genpareto

    n = len(normal)
    if n < 50:
        raise SettingError(
            f"The policy 'pareto' fits the highest tenth of the scores and needs 50 normal images; "
            f"there are {n}: use false-alarm-rate or max."
        )
    start = float(np.quantile(normal, 0.9))
    excess = normal[normal > start] - start
    share = len(excess) / n
    if share == 0 or rate >= share:
        return _conformal(normal, rate)
    shape, _, scale = genpareto.fit(excess, floc=0)
    value = start + float(genpareto.isf(rate / share, shape, loc=0, scale=scale))
    return Threshold(
        value,
        rate,
        note=f"The threshold is extrapolated beyond what {n} normal images show (generalised Pareto).",
    )


def _best_split(normal: NDArray[np.float64], anomalous: NDArray[np.float64], kind: str) -> float:
    """The midpoint between neighbouring scores that maximises F1 or TPR − FPR."""
    values = np.unique(np.concatenate([normal, anomalous]))
    cuts = np.concatenate([[np.nextafter(values[0], -np.inf)], (values[1:] + values[:-1]) / 2])
    tp = len(anomalous) - np.searchsorted(np.sort(anomalous), cuts, side="right")
    fp = len(normal) - np.searchsorted(normal, cuts, side="right")
    quality = 2 * tp / (tp + fp + len(anomalous)) if kind == "f1" else tp / len(anomalous) - fp / len(normal)
    return float(cuts[int(np.argmax(quality))])

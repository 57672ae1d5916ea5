"""Whether new pictures as a batch are like the normal ones: by their scores and by plain facts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from anomalens.images.facts import Facts
from anomalens.inspector.finding import Finding
from anomalens.inspector.kind import Kind

LEAST: Final = 10  # pictures that look good, below which a batch says nothing
_BULK: Final = 0.2  # p-values above it are those of pictures that are hardly defective
_UNLIKELY: Final = 1e-3


@dataclass
class Batch:
    """Collects findings, and says in one sentence where they are of another day.

    Defective pictures score high and are no other day, so only p-values above 0.2 count: among good pictures
    they are uniform from there to 1, whatever the defective ones do, and a one-sided test by Kolmogorov and
    Smirnov tells where they are too low. Of the same pictures plain facts count, where the middle one lies
    beyond nine in ten of the normal ones by a quarter of their range. Where hardly any picture has such a
    p-value, all are defective or all are of another day, and only a person can tell.

    Parameters
    ----------
    kind : Kind or None
        What the normal images are like, where the model's file tells it.
    """

    kind: Kind | None
    p_values: list[float] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Take what an image was answered; what has no answer, or an uncalibrated one, does not count."""
        if finding.p_value is None or finding.facts is None or finding.calibration is None:
            return
        if finding.calibration["calibrated"]:
            self.p_values.append(finding.p_value)
            self.facts.append(finding.facts)

    @property
    def sentence(self) -> str | None:
        """What is unlike and what to do; None where nothing is, or there are too few pictures."""
        n, like = len(self.p_values), [i for i, p in enumerate(self.p_values) if p > _BULK]
        if n < LEAST:
            return None
        if len(like) >= LEAST:
            scores = _scores([self.p_values[i] for i in like])
        elif len(like) < _BULK * n:
            scores, like = f"only {len(like)} of {n} score like them", list(range(n))
        else:
            return None
        facts = self.kind.shifted([self.facts[i] for i in like]) if self.kind is not None else []
        reasons = [*facts, *([scores] if scores else [])]
        if not reasons:
            return None
        return (
            f"As a batch these {n} pictures are not like the normal ones: {', '.join(reasons)}. If most of "
            "them are good, it is another day: give 10 to 30 good ones to  anomalens calibrate FILE "
            "NEW_NORMALS --add."
        )


def _scores(bulk: list[float]) -> str:
    """Whether p-values above 0.2 are lower than those of good pictures, in words."""
    values = np.sort((np.array(bulk) - _BULK) / (1 - _BULK))
    distance = float(np.max(np.arange(1, len(values) + 1) / len(values) - values))
    # the bound of Dvoretzky, Kiefer and Wolfowitz (Massart 1990); no SciPy to load
    if math.exp(-2 * len(values) * max(distance, 0.0) ** 2) >= _UNLIKELY:
        return ""
    return (
        f"also those that look good score high (middle p-value {np.median(bulk):.2f} instead of "
        f"{(1 + _BULK) / 2:.2f}, KS distance {distance:.2f})"
    )

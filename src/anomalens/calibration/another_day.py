"""New normal images beside those that calibrated: pooled where they score alike, alone where they do not."""

from __future__ import annotations

from typing import Final

import numpy as np

from anomalens.calibration.conformal import Calibration

ALIKE: Final = 0.05  # p-value of a test, below which scores are of another day
RARE: Final = 0.05  # share of normal scores among the highest, where it matters most


def joined(before: Calibration, new: Calibration) -> tuple[Calibration, str]:
    """What both say, under the policy of `new`, and in one sentence what the threshold rests on.

    Where the new scores are distributed like those before (two-sample test by Kolmogorov and Smirnov), and no
    more of them are as rare as one in twenty (binomial test), all count. Where they are not, another camera,
    lamp or supplier is what images look like from now on, and the former scores would only set a threshold
    for what is gone.
    """
    from scipy.stats import binomtest, ks_2samp

    n, m = len(before.scores), len(new.scores)
    if not before.calibrated:
        return new, f"The threshold rests on the {m} new images alone: the model was not calibrated before."
    test = ks_2samp(before.scores, new.scores)
    rare = sum(before.p_value(score) <= RARE for score in new.scores.tolist())
    if min(test.pvalue, binomtest(rare, m, RARE, alternative="greater").pvalue) < ALIKE:
        return new, (
            f"The new images do not score like those of before (KS distance {test.statistic:.2f}; {rare} of "
            f"{m} score as one in {1 / RARE:.0f} did): the threshold rests on these {m} alone."
        )
    maxima = None
    if before.map_maxima is not None and new.map_maxima is not None:
        maxima = np.r_[before.map_maxima, new.map_maxima]
    classes = {
        name: joined(before.by_class[name], one)[0] if name in before.by_class else one
        for name, one in new.by_class.items()
    }
    both = Calibration.from_scores(
        np.r_[before.scores, new.scores],
        maxima,
        policy=new.policy,
        method=before.method,
        n_groups=before.n_groups + new.n_groups,
    ).with_classes({**before.by_class, **classes})
    return both, f"The {m} new images score like the {n} of before: the threshold rests on all."

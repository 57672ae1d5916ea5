"""How well scores rank anomalies above normal images, in a few lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def auroc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Area under the ROC curve: the chance that an anomaly scores higher than a normal image.

    Ties count half (Hanley & McNeil 1982). 0.5 is guessing, 1 is perfect.

    Parameters
    ----------
    normal, anomalous : float [n], [m]
        Scores, in any order; none of both may be empty.
    """
    ranked = np.sort(np.asarray(normal, np.float64))
    scores = np.asarray(anomalous, np.float64)
    below = np.searchsorted(ranked, scores, side="left")
    not_above = np.searchsorted(ranked, scores, side="right")
    return float((below + not_above).sum() / (2 * len(ranked) * len(scores)))

"""Normal images that the others do not explain: a defect that hides among them blinds the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

# Iglewicz & Hoaglin 1993: the usual limit of (score - median) / (1.4826 MAD), which few outliers cannot move
LIMIT: Final = 3.5


def doubts(left_out: Mapping[str, float]) -> dict[str, float]:
    """How far each image's left-out score lies above the middle of all, the farthest first.

    Parameters
    ----------
    left_out : mapping of str to float
        Scores by id of images that the scoring model had not learnt from; see `Model.left_out`.

    Returns
    -------
    dict of str to float
        (score - median) / (1.4826 MAD); from `LIMIT` on an image is doubtful.
    """
    if not left_out:
        return {}
    scores = np.array(list(left_out.values()), np.float64)
    middle = float(np.median(scores))
    spread = 1.4826 * float(np.median(np.abs(scores - middle))) or 1e-12
    far = {name: (score - middle) / spread for name, score in left_out.items()}
    return dict(sorted(far.items(), key=lambda item: -item[1]))


def doubtful(left_out: Mapping[str, float]) -> dict[str, float]:
    """Those of `doubts` that reach the limit."""
    return {name: far for name, far in doubts(left_out).items() if far >= LIMIT}

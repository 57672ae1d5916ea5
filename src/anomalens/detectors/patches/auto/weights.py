"""How much each view counts in the score of `auto`, by evidence from the normal images alone."""

from __future__ import annotations

from typing import Final

import numpy as np

ENOUGH_GROUPS: Final = 200  # for the usual weight of the context
# A view's scale is learnt from one score per group: from fewer than the first it is no scale at all, from
# the second on it is trusted (suites/few-shot.toml).
FEW_GROUPS: Final = (4, 16)
# Where every image shows something else (animals, fruit in a shop) patches say little: those of a left-out
# normal image lie half as far from the bank as any two patches lie apart, and a painted defect hides among
# them. Surfaces fail the second condition, digits and brains the first.
GAP: Final = (0.5, 0.55)
HIDDEN: Final = (0.78, 0.92)
VARIED: Final = 4.0  # times its usual weight, is what the context then counts


def weights(
    *, layout: float, context: float, n_groups: int, gap: float, painted_auroc: float
) -> tuple[dict[str, float], float]:
    """The weight of each view's tail value in the score, and how varied the images are, 0–1.

    Parameters
    ----------
    layout, context : float
        The usual weights, of many images that show the same thing.
    n_groups : int
        Independent normal images.
    gap : float
        Mean distance of left-out normal patches to the bank, by that of any two patches to each other.
    painted_auroc : float
        How well patches alone tell left-out normal images from the same with plain painted defects.
    """
    trust = float(np.interp(n_groups, FEW_GROUPS, (0.0, 1.0)))
    hidden = 1.0 - float(np.interp(painted_auroc, HIDDEN, (0.0, 1.0)))
    varied = float(np.interp(gap, GAP, (0.0, 1.0))) * hidden
    share = (1.0 - varied) * min(1.0, n_groups / ENOUGH_GROUPS) + varied * VARIED
    counts = {
        "patches": 1.0,
        "layout": layout * trust * (1.0 - varied),
        "context": context * trust * share,
    }
    return counts, varied

"""How two feature maps differ where things may lie a little aside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def differences(ours: Floats, theirs: Floats, *, reach: int) -> Floats:
    """Distance of each vector to the nearest of the other map around its place, in both directions.

    Parameters
    ----------
    ours, theirs : float32 [c, h, w]
    reach : int
        How many positions aside are looked at, in a square; positions outside the map are not.

    Returns
    -------
    float32 [h, w]
        The larger of the two directions.
    """
    _, h, w = ours.shape
    nearest = np.full((2, h, w), np.inf, np.float32)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if abs(dy) >= h or abs(dx) >= w:
                continue
            here = np.s_[max(0, -dy) : h - max(0, dy), max(0, -dx) : w - max(0, dx)]
            there = np.s_[max(0, dy) : h - max(0, -dy), max(0, dx) : w - max(0, -dx)]
            apart = ours[:, *here] - theirs[:, *there]
            squares = np.einsum("chw,chw->hw", apart, apart)  # of pairs of places: good both ways
            np.minimum(nearest[0][here], squares, out=nearest[0][here])
            np.minimum(nearest[1][there], squares, out=nearest[1][there])
    return np.asarray(np.sqrt(nearest.max(0)), np.float32)

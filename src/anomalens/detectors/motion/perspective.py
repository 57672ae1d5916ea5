"""How fast is usual in each row of a picture: a line, since things that are nearer cross more pixels.

A fixed camera above a plane sees speeds that fall towards the horizon in proportion to the distance from it
in rows, so what is usual in a row where hardly anybody walked follows from the rows where many did.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

STILL: Final = 0.1  # pixels a frame; what moves less stands
_USUAL: Final = 0.99  # of what moves is slower than the usual highest speed
_FEWEST: Final = 20  # speeds in a row, to say what is usual there
_LEAST: Final = 0.1  # of the highest usual speed: a horizon does not make every speck infinitely fast


def usual_speeds(speeds: NDArray[np.float32], still: float) -> NDArray[np.float32]:
    """The usual highest speed of each row.

    Parameters
    ----------
    speeds : float32 [n, rows, columns]
        Of n frames, in pixels.
    still : float
        Speed in pixels below which nothing moves.

    Returns
    -------
    float32 [rows], above 0: a line through the rows' 99 % quantiles of what moves, weighted by how much
    moves.
    """
    rows = speeds.shape[1]
    counts, highest = np.zeros(rows), np.zeros(rows)
    for row in range(rows):
        moving = speeds[:, row][speeds[:, row] > still]
        if len(moving) >= _FEWEST:
            counts[row], highest[row] = len(moving), np.quantile(moving, _USUAL)
    known = counts > 0
    if not known.any():
        return np.full(rows, max(still, float(speeds.max(initial=0.0))) + 1e-6, np.float32)
    line = np.array([0.0, np.average(highest[known], weights=counts[known])])
    if known.sum() > 2:
        line = np.polyfit(np.flatnonzero(known), highest[known], 1, w=np.sqrt(counts[known]))
    usual = np.polyval(line, np.arange(rows))
    floor = max(still, _LEAST * float(usual.max()), 1e-6)
    found: NDArray[np.float32] = np.maximum(usual, floor).astype(np.float32)
    return found

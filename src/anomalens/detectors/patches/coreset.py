"""Greedy coreset (k-centre) of very many feature vectors under a memory bound.

The rule is the greedy one of Gonzalez 1985 that PatchCore (Roth et al. 2022, algorithm 1) uses: take
the vector farthest from all taken ones, again and again. Done naively every step reads all N vectors,
so N × M × d products are bound by memory. Here distances are kept as upper bounds and brought up to
date lazily: the farthest `CANDIDATES` vectors are worked on alone, and only when the farthest of them
comes closer than anything outside, all vectors are updated with everything taken meanwhile in one
matrix product. The choice is the same, step for step, up to rounding; it is bound by arithmetic.

More vectors than fit the budget are reduced block by block, each time keeping a coreset of what is
held (composable coresets, Indyk et al. 2014): one pass, bounded memory.

Not done: random subsampling before the selection. It loses exactly the rare normal patches that a
coreset is there to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.progress import Progress, silent

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

CANDIDATES: Final = 16384
SELECTION_DIMENSIONS: Final = 64
_BLOCK_ROWS: Final = 8192


@dataclass(frozen=True)
class Coreset:
    """Which rows were chosen.

    Attributes
    ----------
    chosen : int64 [m]
        Rows in the order of selection.
    stand_in : int64 [m]
        For each chosen row the nearest row of another group, −1 where there is none: what stands in
        for it when its own group is left out.
    """

    chosen: Ints
    stand_in: Ints


def projection(features: Floats, dimensions: int, seed: int) -> Floats:
    """Matrix [d, k] that keeps distances while the coreset is chosen: principal axes of a sample.

    Returns the identity's size where d ≤ k, so that nothing is lost on small features.
    """
    n, d = features.shape
    if d <= dimensions:
        return np.eye(d, dtype=np.float32)
    rng = np.random.default_rng(seed)
    sample = features[np.sort(rng.choice(n, min(n, 20_000), replace=False))].astype(np.float64)
    sample -= sample.mean(0)
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, ::-1][:, :dimensions], dtype=np.float32)


def greedy_coreset(
    features: Floats,
    groups: Ints,
    size: int,
    *,
    seed: int = 0,
    dimensions: int = SELECTION_DIMENSIONS,
    progress: Progress = silent,
) -> Coreset:
    """Choose `size` rows by the greedy k-centre rule.

    Parameters
    ----------
    features : float32 [n, d]
    groups : int64 [n]
        Rows of one image, or of images that belong together, share a number.
    size : int
        Rows to choose, clipped to 1..n. Fewer come back where all others are copies of chosen ones.
    seed : int
        Chooses the first row and the sample that the projection is fitted to.
    dimensions : int
        Principal axes used for the selection.
    """
    n = len(features)
    size = max(1, min(size, n))
    rng = np.random.default_rng(seed)
    x = features @ projection(features, dimensions, seed)
    x -= x.mean(0)  # small norms keep |a|² + |b|² − 2ab accurate in float32
    norms = np.einsum("ij,ij->i", x, x)
    runs = _Runs(groups)

    bound = np.full(n, np.inf, np.float32)  # squared distance to the chosen rows, or above it
    chosen: list[int] = []
    stand_in: list[int] = []
    pending: list[int] = [int(rng.integers(n))]
    steps = iter(progress(range(size), label="choosing the coreset", total=size))
    next(steps, None)
    while True:
        stand_in.extend(_bring_up_to_date(x, norms, bound, pending, groups, runs))
        chosen.extend(pending)
        pending = []
        room = size - len(chosen)
        if room == 0:
            break
        # Everything outside the candidates is bounded by `outside`: a candidate above it is the farthest
        # of all.
        count = min(CANDIDATES, n)
        candidates = np.argpartition(bound, n - count)[n - count :]
        near = bound[candidates]
        outside = float(near.min()) if count < n else -1.0
        y, y_norms = x[candidates], norms[candidates]
        while len(pending) < room:
            best = int(near.argmax())
            if near[best] <= max(outside, 0.0):
                break
            pending.append(int(candidates[best]))
            distance = y @ (-2 * y[best])
            distance += y_norms
            distance += y_norms[best]
            np.minimum(near, distance, out=near)
            near[best] = 0.0
            next(steps, None)
        if not pending:  # all that is left are copies
            break
    for _ in steps:
        pass
    return Coreset(np.array(chosen, np.int64), np.array(stand_in, np.int64))


class _Runs:
    """Stretches of neighbouring rows of one group, for minima per group without a mask."""

    def __init__(self, groups: Ints) -> None:
        self.start = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
        self.end = np.r_[self.start[1:], len(groups)]
        self.group = groups[self.start]

    def blocks(self) -> list[tuple[int, int]]:
        """Ranges of whole runs of about `_BLOCK_ROWS` rows."""
        edges, last = [0], 0
        for i, end in enumerate(self.end):
            if end - self.start[last] >= _BLOCK_ROWS or i == len(self.end) - 1:
                edges.append(i + 1)
                last = i + 1
        return [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _bring_up_to_date(
    x: Floats, norms: Floats, bound: Floats, pending: list[int], groups: Ints, runs: _Runs
) -> list[int]:
    """Lower every row's bound by the pending rows; return a stand-in for each of those."""
    centres = np.array(pending, np.int64)
    factor = np.ascontiguousarray(-2 * x[centres].T)  # [d, p]
    centre_norms, centre_groups = norms[centres], groups[centres]
    nearest = np.full(len(centres), np.inf, np.float32)  # to a row of another group
    nearest_run = np.full(len(centres), -1, np.int64)
    columns = np.arange(len(centres))
    for first, last in runs.blocks():
        a, b = int(runs.start[first]), int(runs.end[last - 1])
        distance = x[a:b] @ factor  # [rows, p]
        distance += centre_norms
        distance += norms[a:b, None]
        np.minimum(bound[a:b], distance.min(1), out=bound[a:b])
        per_run = np.minimum.reduceat(distance, runs.start[first:last] - a, axis=0)  # [runs, p]
        per_run[runs.group[first:last, None] == centre_groups] = np.inf
        best = per_run.argmin(0)
        better = per_run[best, columns] < nearest
        nearest[better] = per_run[best, columns][better]
        nearest_run[better] = best[better] + first
    bound[centres] = 0.0
    found = []
    for i, run in enumerate(nearest_run):
        if run < 0:
            found.append(-1)
            continue
        a, b = int(runs.start[run]), int(runs.end[run])
        found.append(a + int((x[a:b] @ factor[:, i] + norms[a:b]).argmin()))
    return found

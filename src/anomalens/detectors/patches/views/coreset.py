"""Greedy coreset (k-centre) of very many feature vectors, and the same with some groups left out.

The rule is the greedy one of Gonzalez 1985 that PatchCore (Roth et al. 2022, algorithm 1) uses: take
the vector farthest from all taken ones, again and again. Done naively every step reads all N vectors
and is bound by memory. Here distances are kept as upper bounds and brought up to date lazily: the
farthest `CANDIDATES` vectors are worked on alone, and only when the farthest of them comes closer than
anything outside, all vectors are updated with everything taken meanwhile in one matrix product. The
choice is the same, step for step, up to rounding; it is bound by arithmetic.

Leaving a fold of groups out (`Coreset.without`): its chosen vectors go, and the greedy rule goes on
among the vectors that they alone had covered until as many are taken again. Over all folds together
that costs about as much as the first selection. A cheaper way, one stand-in for each chosen vector
(the nearest of another group), was measured and rejected: it puts the very nearest of all patches into
the bank, so that left-out images score too low and several times the asked share of new normal images is
flagged (docs/decisions.md).

Not done: random subsampling before the selection. It loses exactly the rare normal patches that a
coreset is there to keep.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.views.axes import leading_axes
from anomalens.progress import Progress, silent
from anomalens.threads import on_all_cores

Floats = NDArray[np.float32]
Vectors = NDArray[np.float32] | NDArray[np.float16]
Ints = NDArray[np.int64]

CANDIDATES: Final = 16384
SELECTION_DIMENSIONS: Final = 64
# What a thread works on: as many distances, and at most as many rows, whatever is chosen meanwhile.
_BLOCK_VALUES: Final = 2**20
_BLOCK_ROWS: Final = 4096


@dataclass(frozen=True)
class Coreset:
    """Which rows were chosen, and what is needed to leave some out again.

    Attributes
    ----------
    chosen : int64 [m]
        Rows in the order of selection.
    vectors : float32 or float16 [n, k]
        What was chosen by: along some axes, centred.
    norms : float32 [n]
        Squared, of those.
    nearest : int64 [n]
        For each row the place of its nearest chosen row.
    trusted : bool [n]
        Rows that may be chosen.
    """

    chosen: Ints
    vectors: Vectors
    norms: Floats
    nearest: Ints
    trusted: NDArray[np.bool_]

    def without(self, left_out: NDArray[np.bool_]) -> Ints:
        """The coreset as if some rows had never been there.

        Parameters
        ----------
        left_out : bool [n]
            Rows to leave out, whole groups of them.

        Returns
        -------
        int64 [≤ m]
            As many rows as before, as far as the lost ones had covered any that differ.
        """
        lost = left_out[self.chosen]
        kept = self.chosen[~lost]
        rows = np.flatnonzero(self.trusted & ~left_out & lost[self.nearest])
        if not len(rows) or not lost.any():
            return kept
        x, norms = self.vectors[rows], self.norms[rows]
        bound = np.full(len(rows), np.inf, np.float32)
        nearest = np.zeros(len(rows), np.int64)
        if len(kept):
            _lower(x, norms, bound, nearest, self.vectors[kept].astype(np.float32, copy=False), 0)
            first = [int(bound.argmax())]
            if bound[first[0]] <= 0:
                return kept
        else:
            first = [0]
        more = np.fromiter(_greedy(x, norms, bound, nearest, first, int(lost.sum())), np.int64)
        return np.concatenate([kept, rows[more]])


def greedy_coreset(
    features: Vectors,
    size: int,
    trusted: NDArray[np.bool_] | None = None,
    *,
    seed: int = 0,
    dimensions: int = SELECTION_DIMENSIONS,
    candidates: int = CANDIDATES,
    progress: Progress = silent,
) -> Coreset:
    """Choose `size` rows by the greedy k-centre rule.

    Parameters
    ----------
    features : float32 or float16 [n, d]
        What is kept to choose by has the same type; arithmetic is in float32.
    size : int
        Rows to choose, clipped to 1..n. Fewer come back where all others are copies of chosen ones.
    trusted : bool [n], optional
        Rows that may be chosen, at least one; by default all.
    seed : int
        Chooses the first row and the sample that the projection is fitted to.
    dimensions : int
        Principal axes used for the selection.
    candidates : int
        The farthest rows, worked on alone; changes the time it takes and nothing else.
    """
    n = len(features)
    size = max(1, min(size, n))
    rng = np.random.default_rng(seed)
    x, norms = _projected(features, leading_axes(features, dimensions, seed=seed))
    bound = np.full(n, np.inf, np.float32)
    nearest = np.zeros(n, np.int64)
    first = int(rng.integers(n))
    if trusted is None:
        trusted = np.ones(n, bool)
    else:
        bound[~trusted] = 0  # what is not farther than nothing is never the farthest
        first = int(rng.permutation(np.flatnonzero(trusted))[0])
    steps = _greedy(x, norms, bound, nearest, [first], size, candidates)
    chosen = np.fromiter(progress(steps, label="choosing the coreset", total=size), np.int64)
    return Coreset(chosen, x, norms, nearest, trusted)


def _projected(features: Vectors, axes: Floats) -> tuple[Vectors, Floats]:
    """Along the axes, centred, in the features' own type: [n, k], and its squared norms [n].

    Halves are scaled by a power of two, which leaves the choice as it is: a sum over channels can be larger
    than float16 holds.
    """
    n, channels = features.shape
    if features.dtype == np.float16:
        axes = axes * np.float32(2.0 ** -math.ceil(math.log2(channels) / 2 + 1))
    # small norms keep |a|² + |b|² − 2ab accurate in float32
    centre = np.asarray(features.mean(0, dtype=np.float64), np.float32)
    x = np.empty((n, axes.shape[1]), features.dtype)
    norms = np.empty(n, np.float32)

    def project(start: int) -> None:
        block = slice(start, start + _BLOCK_ROWS)
        x[block] = (features[block] - centre) @ axes
        kept = x[block].astype(np.float32, copy=False)
        norms[block] = np.einsum("ij,ij->i", kept, kept)

    on_all_cores(project, range(0, n, _BLOCK_ROWS))
    return x, norms


def _greedy(
    x: Vectors,
    norms: Floats,
    bound: Floats,
    nearest: Ints,
    first: list[int],
    size: int,
    at_once: int = CANDIDATES,
) -> Iterator[int]:
    """Yield rows, farthest first; `bound` and `nearest` follow the chosen ones, also after the last.

    Parameters
    ----------
    x : float32 or float16 [n, k]
        Vectors.
    norms : float32 [n]
        Their squared norms.
    bound : float32 [n]
        Squared distance to the nearest chosen row, or above it; updated in place.
    nearest : int64 [n]
        Place of that chosen row in the order of selection; updated in place.
    first : list of int
        Rows to begin with.
    size : int
        Rows to yield in all.
    at_once : int
        Candidates.
    """
    n = len(x)
    pending, taken = first, 0
    yield from pending
    while True:
        _lower(x, norms, bound, nearest, x[pending].astype(np.float32, copy=False), taken)
        bound[pending] = 0.0
        nearest[pending] = np.arange(taken, taken + len(pending))
        taken += len(pending)
        if taken >= size:
            return
        # What is not a candidate is bounded by `outside`: a candidate above it is the farthest of all.
        count = min(at_once, n)
        candidates = np.argpartition(bound, n - count)[n - count :]
        near = bound[candidates]
        outside = float(near.min()) if count < n else 0.0
        y, y_norms = x[candidates].astype(np.float32, copy=False), norms[candidates]
        pending = []
        for best in islice(_farthest_of(y, y_norms, near, outside), size - taken):
            pending.append(int(candidates[best]))
            yield pending[-1]
        if not pending:
            if outside <= 0:  # all that is left are copies
                return
            # Ties at the candidates' edge: take one of them, so that every round moves on.
            pending = [int(candidates[int(near.argmax())])]
            yield pending[-1]


def _farthest_of(y: Floats, norms: Floats, near: Floats, outside: float) -> Iterator[int]:
    """Yield the farthest candidate again and again, while it is farther than `outside`; `near` follows."""
    while True:
        best = int(near.argmax())
        if near[best] <= outside:
            return
        yield best
        distance = y @ (-2 * y[best])
        distance += norms
        distance += norms[best]
        np.minimum(near, distance, out=near)
        near[best] = 0.0


def _lower(x: Vectors, norms: Floats, bound: Floats, nearest: Ints, centres: Floats, place: int) -> None:
    """Lower every row's bound by some chosen rows, the first of which was taken as number `place`."""
    factor = np.ascontiguousarray(-2 * centres.T)  # [k, p]
    centre_norms = np.einsum("ij,ij->i", centres, centres)
    rows = min(_BLOCK_ROWS, max(64, _BLOCK_VALUES // len(centres)))

    def lower(start: int) -> None:
        block = slice(start, start + rows)
        distance = x[block].astype(np.float32, copy=False) @ factor  # [rows, p], without the row's own norm
        distance += centre_norms
        best = distance.argmin(1)
        smallest = distance[np.arange(len(best)), best] + norms[block]
        closer = smallest < bound[block]
        bound[block][closer] = np.maximum(smallest[closer], 0)
        nearest[block][closer] = best[closer] + place

    on_all_cores(lower, range(0, len(x), rows))

"""Which normal images train, validate and calibrate: whole groups, drawn at random."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

MAX_VALIDATION: Final = 2000  # images; more would only cost time
MAX_HELD_OUT: Final = 2000


@dataclass(frozen=True)
class Split:
    """Ascending rows, int64: nothing is in two parts but where there are fewer than three groups.

    Attributes
    ----------
    train, validation : rows to learn from and to stop by
    held_out : rows that calibrate; empty where none could be spared
    """

    train: Rows
    validation: Rows
    held_out: Rows

    def hash(self) -> str:
        """A hash of all rows, for checkpoints.

        Other groups split the same images otherwise, and a run that is gone on with must not have learnt from
        images that calibrate now.
        """
        rows = [part.tolist() for part in (self.train, self.validation, self.held_out)]
        return hashlib.sha256(str(rows).encode()).hexdigest()


def split_groups(
    groups: Rows, *, validation: float, held_out: float, seed: int, originals: Rows | None = None
) -> Split:
    """Draw the parts by whole groups.

    Parameters
    ----------
    groups : int64 [n]
    validation, held_out : float
        Shares of the images, reached as nearly as whole groups allow; each gets one group at least where
        there are three, and `held_out` may be 0 for none.
    originals : int64, optional
        Rows that are no changed copies: only these count, validate and calibrate.
    """
    names, inverse = np.unique(groups, return_inverse=True)
    every, n_groups = np.arange(len(groups), dtype=np.int64), len(names)
    real = np.zeros(len(groups), bool)
    real[every if originals is None else originals] = True
    if n_groups < 2:
        return Split(every, every[real], every[:0])
    counts, n = np.bincount(inverse[real], minlength=n_groups), int(real.sum())
    order = np.random.default_rng([seed, 1]).permutation(n_groups)
    until = np.concatenate([[0], np.cumsum(counts[order])])  # images in the first k groups
    first = 0
    if held_out > 0 and n_groups >= 3:
        first = _nearest(until, min(held_out * n, MAX_HELD_OUT), 1, n_groups - 2)
    second = _nearest(until, until[first] + min(validation * n, MAX_VALIDATION), first + 1, n_groups - 1)
    place = np.empty(n_groups, np.int64)
    place[order] = np.arange(n_groups)
    turn = place[inverse]
    validates, calibrates = real & (turn >= first) & (turn < second), real & (turn < first)
    return Split(every[turn >= second], every[validates], every[calibrates])


def _nearest(until: Rows, wanted: float, least: int, most: int) -> int:
    """How many groups, from `least` to `most`, hold about this many images."""
    return int(np.clip(np.abs(until - wanted).argmin(), least, most))

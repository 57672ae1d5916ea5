"""The same thing from frame to frame: boxes that overlap, or lie near where it was going."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from anomalens.streams.frame import Moment
from anomalens.streams.movers import Box, Mover

_LOST: Final = 1.0  # seconds unseen, after which a thing has gone
_KEPT: Final = 500  # places of a track that are remembered
_FAR: Final = 1e6


@dataclass
class Track:
    """A thing that is followed.

    Attributes
    ----------
    number : int
    box : Box
        Where it was last seen.
    first, last : Moment
    seen : int
        In how many frames.
    path : list of (seconds, x, y)
        Where its foot was.
    """

    number: int
    box: Box
    first: Moment
    last: Moment
    seen: int = 1
    path: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def foot(self) -> tuple[float, float]:
        """Where it stands now."""
        return self.path[-1][1], self.path[-1][2]

    def still_for(self, reach: float) -> float:
        """Seconds for which its foot has stayed within `reach` pixels of where it is now."""
        x, y = self.foot
        since = self.path[-1][0]
        for at, px, py in reversed(self.path):
            if np.hypot(px - x, py - y) > reach:
                break
            since = at
        return self.path[-1][0] - since

    def add(self, mover: Mover, moment: Moment) -> None:
        """It was seen here."""
        self.box, self.last, self.seen = mover.box, moment, self.seen + 1
        self.path.append((moment.seconds, *mover.foot))
        if len(self.path) > _KEPT:
            del self.path[1 : _KEPT // 2 : 2]  # its beginning is kept, the rest more sparsely


class Tracks:
    """Follows what moves."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._next = 1

    def follow(self, movers: Sequence[Mover], moment: Moment) -> list[Track]:
        """The tracks that are seen now."""
        self.tracks = [one for one in self.tracks if moment.seconds - one.last.seconds <= _LOST]
        taken: set[int] = set()
        seen = []
        if self.tracks and movers:
            away = np.array([[_away(one.box, mover.box) for mover in movers] for one in self.tracks])
            for row, column in zip(*linear_sum_assignment(away), strict=True):
                if away[row, column] < _FAR:
                    self.tracks[row].add(movers[column], moment)
                    seen.append(self.tracks[row])
                    taken.add(int(column))
        for place, mover in enumerate(movers):
            if place not in taken:
                track = Track(self._next, mover.box, moment, moment)
                track.path.append((moment.seconds, *mover.foot))
                self._next += 1
                self.tracks.append(track)
                seen.append(track)
        return seen


def _away(one: Box, other: Box) -> float:
    """0 for the same box, 1 for boxes that touch, up to 2; `_FAR` beyond that."""
    (ax, ay), (bx, by) = (((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (one, other))
    reach = max(one[2] - one[0], other[2] - other[0], 4) + max(one[3] - one[1], other[3] - other[1], 4)
    away = 4 * float(np.hypot(ax - bx, ay - by)) / reach
    return away if away <= 2 else _FAR

"""Regions: the connected parts of an anomaly map above a threshold (numpy only, for edge machines).

Nothing is done pixel by pixel or region by region: maps of twelve million pixels with thousands of
regions take a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Region:
    """One connected part of a map above the region threshold.

    Attributes
    ----------
    box : (x0, y0, x1, y1)
        Pixels of the original image; x1 and y1 are exclusive.
    area : int
        Pixels of the original image.
    peak : float
        Largest map value inside.
    """

    box: Box
    area: int
    peak: float

    def to_json(self) -> dict[str, Any]:
        return {"box": list(self.box), "area": self.area, "peak": self.peak}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Region:
        """Read what `to_json` wrote; KeyError, TypeError or ValueError where that is damaged."""
        x0, y0, x1, y1 = (int(side) for side in data["box"])
        return cls((x0, y0, x1, y1), int(data["area"]), float(data["peak"]))


@dataclass(frozen=True)
class _Runs:
    """The pixels of a mask as runs along its rows, row by row: run i is [rows[i], starts[i]:ends[i]]."""

    rows: Indices
    starts: Indices
    ends: Indices

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> _Runs:
        h, w = mask.shape
        padded = np.zeros((h, w + 2), np.int8)
        padded[:, 1:-1] = mask
        steps = np.diff(padded, axis=1)
        rows, starts = np.nonzero(steps == 1)  # both row-major, so run i starts and ends at i
        return cls(rows, starts, np.nonzero(steps == -1)[1])

    def components(self) -> tuple[Indices, int]:
        """Which 8-connected component each run belongs to, from 0 in the order of their first runs."""
        if not len(self.rows):
            return self.rows, 0
        runs, above = self._touching()
        parent = np.arange(len(self.rows))
        while True:
            one, other = parent[runs], parent[above]
            apart = one != other
            if not apart.any():
                break
            # every tree hangs itself below the lowest one it touches, and all paths become one step long
            lower, higher = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
            np.minimum.at(parent, higher, lower)
            while (parent != (root := parent[parent])).any():
                parent = root
        _, names = np.unique(parent, return_inverse=True)
        return names, int(names.max()) + 1

    def _touching(self) -> tuple[Indices, Indices]:
        """Pairs of runs in neighbouring rows that share a side or a corner."""
        stride = int(self.ends.max()) + 2
        before = (self.rows - 1) * stride
        first = np.searchsorted(self.rows * stride + self.ends, before + self.starts, "left")
        behind = np.searchsorted(self.rows * stride + self.starts, before + self.ends, "right")
        counts = np.maximum(behind - first, 0)
        runs = np.repeat(np.arange(len(self.rows)), counts)
        place = np.arange(len(runs)) - np.repeat(np.cumsum(counts) - counts, counts)
        return runs, np.repeat(first, counts) + place


def find_regions(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    to_original: Callable[[Box], Box],
    *,
    limit: int = 100,
) -> tuple[Region, ...]:
    """The connected parts of a map above the threshold, the highest peak first.

    Parameters
    ----------
    anomaly_map : float32 [h, w]
    threshold : float
        In the map's own units; strictly greater values belong to a region.
    to_original : callable
        Turns a box of map pixels into one of original pixels.
    limit : int
        At most this many regions.
    """
    mask = anomaly_map > threshold
    runs = _Runs.of(mask)
    names, count = runs.components()
    if not count:
        return ()
    lengths = runs.ends - runs.starts
    area = np.bincount(names, lengths, minlength=count)
    peak = np.full(count, -np.inf, anomaly_map.dtype)
    np.maximum.at(peak, names, np.maximum.reduceat(anomaly_map[mask], np.cumsum(lengths) - lengths))
    h, w = mask.shape
    low, high = np.full((2, count), max(h, w)), np.zeros((2, count), np.int64)
    for side, first, behind in ((0, runs.starts, runs.ends), (1, runs.rows, runs.rows + 1)):
        np.minimum.at(low[side], names, first)
        np.maximum.at(high[side], names, behind)
    regions = []
    for name in np.argsort(-peak, kind="stable")[:limit]:
        x0, y0, x1, y1 = (int(edge) for edge in (*low[:, name], *high[:, name]))
        box = to_original((x0, y0, x1, y1))
        covered = float(area[name]) / ((x1 - x0) * (y1 - y0))
        pixels = max(1, round(covered * (box[2] - box[0]) * (box[3] - box[1])))
        regions.append(Region(box, pixels, float(peak[name])))
    return tuple(regions)

"""Regions: the connected parts of an anomaly map above a threshold (numpy only, for edge machines).

Nothing is done pixel by pixel or region by region: maps of twelve million pixels with thousands of
regions take a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Indices = NDArray[np.int64]
_CELL: Final = 8  # px of a map: the finest grid on which the networks say anything


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
    low: float | None = None,
    limit: int = 100,
) -> tuple[Region, ...]:
    """The parts of a map that reach above the threshold, as far as the map stays above `low`.

    Parts whose gap is at most one cell of a network, 8 pixels (less on small maps), are one region, and no
    box is smaller than a cell: a network does not see finer.

    Parameters
    ----------
    anomaly_map : float32 [h, w]
    threshold : float
        In the map's own units; a region holds a strictly greater value.
    to_original : callable
        Turns a box of map pixels into one of original pixels.
    low : float, optional
        At most the threshold, which it is by default; a region ends where the map is not above it.
    limit : int
        At most this many regions, the highest peak first.
    """
    mask = anomaly_map > (threshold if low is None else min(low, threshold))
    cell = max(1, min(_CELL, min(mask.shape) // 16))
    runs = _Runs.of(mask)
    names, count = _bridged(mask, runs, cell // 2)
    if not count:
        return ()
    lengths = runs.ends - runs.starts
    area = np.bincount(names, lengths, minlength=count)
    peak = np.full(count, -np.inf, anomaly_map.dtype)
    np.maximum.at(peak, names, np.maximum.reduceat(anomaly_map[mask], np.cumsum(lengths) - lengths))
    h, w = mask.shape
    first, behind = np.full((2, count), max(h, w)), np.zeros((2, count), np.int64)
    for side, start, end in ((0, runs.starts, runs.ends), (1, runs.rows, runs.rows + 1)):
        np.minimum.at(first[side], names, start)
        np.maximum.at(behind[side], names, end)
    for side, length in ((0, w), (1, h)):  # no box smaller than a cell, none beyond the map
        missing = np.maximum(cell - (behind[side] - first[side]), 0)
        first[side] = np.where(missing, np.clip(first[side] - missing // 2, 0, length - cell), first[side])
        behind[side] = np.maximum(behind[side], first[side] + cell)
    regions = []
    for name in np.argsort(-peak, kind="stable")[:limit]:
        if not peak[name] > threshold:
            break
        x0, y0, x1, y1 = (int(edge) for edge in (*first[:, name], *behind[:, name]))
        box = to_original((x0, y0, x1, y1))
        covered = float(area[name]) / ((x1 - x0) * (y1 - y0))
        pixels = max(1, round(covered * (box[2] - box[0]) * (box[3] - box[1])))
        regions.append(Region(box, pixels, float(peak[name])))
    return tuple(regions)


def _bridged(mask: NDArray[np.bool_], runs: _Runs, by: int) -> tuple[Indices, int]:
    """The component of each run of a mask when every pixel is grown by some on all sides."""
    grown = mask
    for axis in (0, 1):
        before = np.moveaxis(grown, axis, 0)
        after = before.copy()
        for shift in range(1, by + 1):
            after[shift:] |= before[:-shift]
            after[:-shift] |= before[shift:]
        grown = np.moveaxis(after, 0, axis)
    wider = _Runs.of(grown)
    names, count = wider.components()
    stride = mask.shape[1] + 1
    starts = wider.rows * stride + wider.starts
    return names[np.searchsorted(starts, runs.rows * stride + runs.starts, "right") - 1], count

"""Regions: the connected parts of an anomaly map above a threshold (numpy only, for edge machines)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


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


def label_components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label 8-connected components by merging runs of neighbouring rows.

    Parameters
    ----------
    mask : bool [h, w]

    Returns
    -------
    labels : int32 [h, w], 0 outside, 1..count inside
    count : int
    """
    h, w = mask.shape
    padded = np.zeros((h, w + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)  # both row-major, so run i starts and ends at i
    _, ends = np.nonzero(steps == -1)
    parent = np.arange(len(rows))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    first = np.searchsorted(rows, np.arange(h + 1))  # runs of row r are first[r]:first[r+1]
    for r in range(1, h):
        above, i = int(first[r - 1]), int(first[r])
        while above < first[r] and i < first[r + 1]:
            if starts[above] <= ends[i] and starts[i] <= ends[above]:  # touching, corners included
                parent[root(i)] = root(above)
            if ends[above] < ends[i]:
                above += 1
            else:
                i += 1
    roots = np.array([root(i) for i in range(len(rows))], np.int64)
    _, names = np.unique(roots, return_inverse=True)
    labels = np.zeros((h, w), np.int32)
    for row, start, end, name in zip(rows, starts, ends, names, strict=True):
        labels[row, start:end] = name + 1
    return labels, int(names.max()) + 1 if len(names) else 0


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
    labels, count = label_components(anomaly_map > threshold)
    regions = []
    for name in range(1, count + 1):
        ys, xs = np.nonzero(labels == name)
        inner = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        box = to_original(inner)
        covered = len(xs) / ((inner[2] - inner[0]) * (inner[3] - inner[1]))
        area = max(1, round(covered * (box[2] - box[0]) * (box[3] - box[1])))
        regions.append(Region(box, area, float(anomaly_map[ys, xs].max())))
    regions.sort(key=lambda region: -region.peak)
    return tuple(regions[:limit])

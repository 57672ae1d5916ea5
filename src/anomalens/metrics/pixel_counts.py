"""Pixels of anomaly maps, counted at each level that holds anomalous ones.

The normal pixels are sorted once, each distinct value of the anomalous ones is looked up there, and no
curve over all pixels is ever built. Above a budget of pixels those seen so far choose some 10⁵ bins
(quantiles, finer at the top, and 16 for each power of two so that what comes later finds a bin), and all
pixels are counted in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalens.metrics.pixel_maps import Map, Mask, mask_regions

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Indices = NDArray[np.integer[Any]]

CHUNK = 1 << 22


@dataclass(frozen=True)
class Counted:
    """Pixels, counted at each level that holds anomalous ones: a distinct value of theirs, or a bin.

    Attributes
    ----------
    threshold : float [k], ascending
        The value, or the bin's lower edge.
    positives : int64 [k]
        Anomalous pixels at the level.
    over, reached : int64 [k]
        Normal pixels above the level; above or at it.
    shared_over, shared : float64 [k]
        The same as rates, averaged over the normal images.
    region, level, count : [e], [e], [e] or None
        So many (None: one) anomalous pixels of the region are at the level.
    """

    threshold: Map
    positives: Counts
    over: Counts
    reached: Counts
    shared_over: Floats
    shared: Floats
    region: Indices
    level: Indices
    count: Indices | None

    def by_region(self, value: Callable[[Indices], Floats], n_regions: int) -> Floats:
        """Sum over the anomalous pixels of each region of what `value` gives for their levels."""
        total = np.zeros(n_regions)
        for start in range(0, len(self.level), CHUNK):
            part = slice(start, start + CHUNK)
            weights = value(self.level[part])
            if self.count is not None:
                weights *= self.count[part]
            total += np.bincount(self.region[part], weights, minlength=n_regions)
        return total


class Tally:
    """Gathers pixels, then gives the figures once; turns into a histogram above its budget."""

    def __init__(self, max_exact_pixels: int) -> None:
        self.max_exact_pixels = max_exact_pixels
        self.n_pixels = 0
        self.n_normal_images = 0
        self.normal: dict[int, list[Map]] = {}  # by the size of the normal image; 0: from anomalous images
        self.defect: list[Map] = []
        self.region: list[NDArray[np.int32]] = []  # which region each of these pixels is in
        self.region_sizes: list[Counts] = []  # one array for each anomalous image
        self.n_regions = 0
        self.bins: _Bins | None = None

    def add(self, values: Map, mask: Mask | None) -> None:
        self.n_pixels += values.size
        if mask is None:
            self.n_normal_images += 1
            self._add_normal(values.flatten(), values.size)
        else:
            self._add_normal(values[~mask], 0)
            self._add_defects(values[mask], mask)
        if self.bins is None and self.n_pixels > self.max_exact_pixels:
            self._start_bins()

    def _add_normal(self, values: Map, image_size: int) -> None:
        if self.bins is not None:
            self.bins.count_normal(values, image_size)
        else:
            self.normal.setdefault(image_size, []).append(values)

    def _add_defects(self, values: Map, mask: Mask) -> None:
        local, sizes = mask_regions(mask)
        self.region_sizes.append(sizes)
        region = (local + self.n_regions).astype(np.int32)
        self.n_regions += len(sizes)
        if self.bins is not None:
            self.bins.count_defects(values, region)
        else:
            self.defect.append(values)
            self.region.append(region)

    def _start_bins(self) -> None:
        self.bins = _Bins([part for parts in self.normal.values() for part in parts], self.defect)
        for image_size, parts in self.normal.items():
            while parts:
                self.bins.count_normal(parts.pop(), image_size)
        while self.defect:
            self.bins.count_defects(self.defect.pop(), self.region.pop())

    def counted(self, high: float) -> Counted:
        """The counts, once; what was gathered is given up. `high`: see `_shared_rates`."""
        return self._exact(high) if self.bins is None else self.bins.counted(self.n_normal_images)

    def _exact(self, high: float) -> Counted:
        values, region = _pool(self.defect), _pool(self.region)
        order = np.argsort(values)
        values, region = values[order], region[order]
        del order
        starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
        level = np.zeros(len(values), np.int32)
        level[starts[1:]] = 1
        np.cumsum(level, out=level)
        threshold = values[starts]
        positives = np.diff(np.append(starts, len(values)))
        del values, starts
        shared = self._shared_rates(threshold, high)
        parts = [part for parts in self.normal.values() for part in parts]
        self.normal.clear()  # so that each part is freed once it is pooled
        normal = _pool(parts)
        normal.sort()
        common = np.promote_types(normal.dtype, threshold.dtype)
        normal, keys = normal.astype(common, copy=False), threshold.astype(common, copy=False)
        return Counted(
            threshold=threshold,
            positives=positives,
            over=len(normal) - np.searchsorted(normal, keys, side="right"),
            reached=len(normal) - np.searchsorted(normal, keys, side="left"),
            shared_over=shared,  # asked for only where there are bins
            shared=shared,
            region=region,
            level=level,
            count=None,
        )

    def _shared_rates(self, threshold: Map, high: float) -> Floats:
        """The normal images' mean false-positive rate at or above each threshold.

        Right up to `high`; beyond, only known to be larger. So a size of image needs its highest pixels
        only: where more than `high` × (images × size) of them are reached, the mean is above `high`.
        """
        tails, weights = [np.zeros(0, np.float32)], [np.zeros(0)]
        for image_size, parts in self.normal.items():
            if not image_size:
                continue
            self.normal[image_size] = parts = [_pool(parts)]
            tail = min(len(parts[0]), math.floor(high * image_size * self.n_normal_images) + 1)
            parts[0].partition(len(parts[0]) - tail)
            tails.append(parts[0][len(parts[0]) - tail :])
            weights.append(np.full(tail, 1 / (image_size * self.n_normal_images)))
        values, weight = np.concatenate(tails), np.concatenate(weights)
        order = np.argsort(values, kind="stable")
        rate = np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)
        return np.asarray(rate[np.searchsorted(values[order], threshold, side="left")], np.float64)


class _Bins:
    """Counts of pixels between edges chosen from the pixels seen so far."""

    def __init__(self, normal: list[Map], defect: list[Map]) -> None:
        self.edges = np.unique(np.concatenate([_quantiles(normal), _quantiles(defect), _binary_steps()]))
        self.lowest = math.inf
        self.normal = np.zeros(len(self.edges) + 1, np.int64)
        self.shared = np.zeros(len(self.edges) + 1)
        self.entries: list[tuple[Indices, Indices, Indices]] = []

    def _places(self, values: Map) -> Indices:
        self.lowest = min(self.lowest, float(values.min(initial=np.inf)))
        return np.searchsorted(self.edges, values, side="right")

    def count_normal(self, values: Map, image_size: int) -> None:
        counts = np.bincount(self._places(np.sort(values)), minlength=len(self.normal))
        self.normal += counts
        if image_size:
            self.shared += counts / image_size

    def count_defects(self, values: Map, region: NDArray[np.int32]) -> None:
        key = region.astype(np.int64) * len(self.normal) + self._places(values)
        key, count = np.unique(key, return_counts=True)
        region, level = np.divmod(key, len(self.normal))
        self.entries.append((region.astype(np.int32), level.astype(np.int32), count.astype(np.int32)))

    def counted(self, n_normal_images: int) -> Counted:
        region, level, count = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        positives = np.bincount(level, count, minlength=len(self.normal)).astype(np.int64)
        used = positives > 0
        reached = np.cumsum(self.normal[::-1])[::-1]
        shared = np.append(np.cumsum(self.shared[::-1])[::-1], 0.0) / max(1, n_normal_images)
        return Counted(
            threshold=np.append(self.lowest, self.edges)[used],
            positives=positives[used],
            over=(reached - self.normal)[used],
            reached=reached[used],
            shared_over=shared[1:][used],
            shared=shared[:-1][used],
            region=region,
            level=(np.cumsum(used) - 1)[level],
            count=count,
        )


def _pool(parts: list[Any]) -> Any:
    """The parts as one array; the list is emptied on the way, so that memory is held about once."""
    if len(parts) == 1:
        return parts.pop()
    pooled = np.empty(sum(map(len, parts)), np.result_type(*{part.dtype for part in parts}))
    end = len(pooled)
    while parts:
        part = parts.pop()
        pooled[end - len(part) : end] = part
        end -= len(part)
    return pooled


def _quantiles(parts: list[Map]) -> Floats:
    """Edges between equal counts of a sample of the pixels, and its highest values one by one."""
    if not parts:
        return np.zeros(0)
    step = max(1, sum(map(len, parts)) >> 21)
    sample = np.sort(np.concatenate([np.append(part[::step], part.max(initial=part[0])) for part in parts]))
    return np.concatenate([sample[:: max(1, len(sample) >> 15)], sample[-(1 << 14) :]]).astype(np.float64)


def _binary_steps() -> Floats:
    """Sixteen edges for each power of two that float32 can hold, both signs, and zero."""
    steps = np.ldexp(1 + np.arange(16) / 16, np.arange(-149, 128)[:, None]).ravel()
    return np.concatenate([-steps, [0.0], steps])

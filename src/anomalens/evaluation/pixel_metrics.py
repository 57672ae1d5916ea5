"""Figures of anomaly maps against masks: pixel AUROC, AP, F1-max, AUPRO and AUPIMO, in one pass.

Every figure is a mean over anomalous pixels of something that depends only on how many normal pixels lie
above and at the pixel's value. So the normal pixels are sorted once, each distinct value of the anomalous
ones is looked up there, and no curve over all pixels is ever built: no thresholds are chosen, ties are
exact, and any strictly increasing rescaling leaves the figures as they were.

- AUPRO (Bergmann et al. 2020, "Uninformed students", § 4; Bergmann et al. 2021, IJCV 129): the mean over
  all 8-connected anomalous regions of the share of the region that is found, against the false-positive
  rate over all normal pixels, by trapezoids up to `fpr_limit`, interpolated there, divided by it.
- AUPIMO (Bertoldo et al. 2024, arXiv 2401.01984): for each anomalous image the share of its anomalous
  pixels that is found, against the mean of the normal images' false-positive rates, on a logarithmic axis
  between `pimo_bounds`, divided by its length. Here T(F⁻¹(z)) is the largest share found at a shared rate
  of at most z, a step function: the limit of the published implementation for ever finer thresholds, and
  defined where no threshold reaches the lower bound.

Above `max_exact_pixels` the pixels seen so far choose some 10⁵ bins (quantiles, finer at the top, and
16 for each power of two so that what comes later finds a bin), and all pixels are counted in them. The
figures then carry their largest possible error, computed from what the bins hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalens.errors import ImageError, InputError, SettingError
from anomalens.evaluation.metrics import checked_flags

Map = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Indices = NDArray[np.integer[Any]]

MAX_EXACT_PIXELS = 1 << 26  # 0.5 GiB while float32 pixels are gathered and sorted
CHUNK = 1 << 22


@dataclass(frozen=True)
class PixelFigures:
    """The figures of one set of anomaly maps, named as the keys of a result card.

    Attributes
    ----------
    pixel_auroc, pixel_ap, pixel_f1_max, aupro : float
    pixel_f1_max_threshold : float
        Map value; the highest threshold (value ≥ threshold) that reaches `pixel_f1_max`.
    aupimo : float or None
        Mean over the anomalous images; None without normal images, on which its axis relies.
    aupimo_per_image : tuple of float
        One for each anomalous image, in the order given.
    n_normal_images, n_anomalous_images, n_regions, n_pixels, n_anomalous_pixels : int
    error_bounds : mapping of str to float
        For each figure the largest distance to the exact value; empty where the figures are exact.
    """

    pixel_auroc: float
    pixel_ap: float
    pixel_f1_max: float
    pixel_f1_max_threshold: float
    aupro: float
    aupimo: float | None
    aupimo_per_image: tuple[float, ...]
    n_normal_images: int
    n_anomalous_images: int
    n_regions: int
    n_pixels: int
    n_anomalous_pixels: int
    error_bounds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, None, lists and dictionaries."""
        return asdict(self) | {"aupimo_per_image": list(self.aupimo_per_image)}


def pixel_figures(
    images: Iterable[tuple[Map, Mask | None]],
    *,
    names: Sequence[str] | None = None,
    fpr_limit: float = 0.3,
    pimo_bounds: tuple[float, float] = (1e-5, 1e-4),
    max_exact_pixels: int = MAX_EXACT_PIXELS,
) -> PixelFigures:
    """All pixel figures, from maps and masks taken one by one.

    Parameters
    ----------
    images : iterable of (map, mask)
        The map is float [h, w], of any scale, higher means more anomalous; float32 stays float32. The
        mask is bool [h, w], True on anomalous pixels, or None for a normal image. Sizes may differ from
        image to image. See `labelled_maps` for stacked arrays.
    names : sequence of str, optional
        What to call the images in errors.
    fpr_limit : float in (0, 1]
        Where AUPRO's integral ends.
    pimo_bounds : (float, float), 0 < low < high ≤ 1
        Between which shared rates AUPIMO is integrated. Fewer than 1/low pixels on normal images do not
        resolve them: the value is then what is found with no false positive at all, or nearly.
    max_exact_pixels : int
        Above this many pixels the figures come from a histogram, with `error_bounds`.

    Raises
    ------
    ImageError
        A map that is not two-dimensional, real and finite, or a mask that is not bool, of the map's size,
        with at least one anomalous pixel.
    InputError
        No images, no anomalous pixels, or no normal pixels.
    SettingError
        `fpr_limit` or `pimo_bounds` out of range.
    """
    if not 0 < fpr_limit <= 1:
        raise SettingError(f"AUPRO's limit was given as {fpr_limit}; give a number above 0, at most 1.")
    low, high = pimo_bounds
    if not 0 < low < high <= 1:
        raise SettingError(f"AUPIMO's bounds were given as {low} and {high}; give 0 < low < high ≤ 1.")
    tally = _Tally(max_exact_pixels)
    for place, (anomaly_map, mask) in enumerate(images):
        tally.add(*_usable(_name(place, names), anomaly_map, mask))
    return tally.figures(fpr_limit, low, high)


def labelled_maps(
    maps: NDArray[Any],
    masks: NDArray[Any],
    labels: ArrayLike,
    *,
    names: Sequence[str] | None = None,
) -> Iterator[tuple[Map, Mask | None]]:
    """Stacked arrays as the pairs that `pixel_figures` takes.

    Parameters
    ----------
    maps : float [n, h, w]
    masks : bool [n, h, w]
    labels : bool [n], True = anomalous
        Normal images must have an empty mask, anomalous ones must not.

    Raises
    ------
    InputError
        Lengths that differ.
    ImageError
        A mask on a normal image.
    """
    truth = checked_flags(labels, "labels", "anomalous")
    if not len(maps) == len(masks) == len(truth):
        raise InputError(
            f"There are {len(maps)} maps, {len(masks)} masks and {len(truth)} labels; give one of each for "
            "every image."
        )
    for place, (anomaly_map, mask, anomalous) in enumerate(zip(maps, masks, truth, strict=True)):
        if not anomalous and mask.any():
            raise ImageError(
                _name(place, names),
                f"a normal image has a mask with {np.count_nonzero(mask)} anomalous pixels; correct its "
                "label or remove its mask.",
            )
        yield anomaly_map, mask if anomalous else None


def _name(place: int, names: Sequence[str] | None) -> str:
    return names[place] if names is not None else f"map {place} (counting from 0)"


def _usable(name: str, anomaly_map: Map, mask: Mask | None) -> tuple[Map, Mask | None]:
    """One map as float32 or float64 and its mask, or an ImageError."""
    values = np.asarray(anomaly_map)
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "fiu":
        raise ImageError(
            name, f"the anomaly map is {values.dtype} of shape {values.shape}; give real numbers [h, w]."
        )
    if values.dtype != np.float32:
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    if not np.isfinite(values).all():
        raise ImageError(name, "the anomaly map has NaN or infinite values; leave the image out, counted.")
    if mask is None:
        return values, None
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise ImageError(name, f"the mask is {mask.dtype}; give bool, True on anomalous pixels (mask > 0).")
    if mask.shape != values.shape:
        raise ImageError(
            name, f"the mask has shape {mask.shape} and the map {values.shape}; resize one to the other."
        )
    if not mask.any():
        raise ImageError(name, "the mask is empty; give None for a normal image, or leave the image out.")
    return values, mask


@dataclass(frozen=True)
class _Counted:
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


class _Tally:
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
        from scipy.ndimage import label  # 50 times faster than calibration.regions on speckled masks

        labels, count = label(mask, structure=np.ones((3, 3)))
        local = labels[mask] - 1
        self.region_sizes.append(np.bincount(local, minlength=count).astype(np.int64))
        region = (local + self.n_regions).astype(np.int32)
        self.n_regions += count
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

    def figures(self, fpr_limit: float, low: float, high: float) -> PixelFigures:
        if not self.n_pixels:
            raise InputError("Pixel figures were asked of no images; give anomaly maps with their masks.")
        sizes = np.concatenate([np.zeros(0, np.int64), *self.region_sizes])
        n_defect = int(sizes.sum())
        n_normal = self.n_pixels - n_defect
        if not n_defect or not n_normal:
            there, missing = ("anomalous", "normal") if n_defect else ("normal", "anomalous")
            raise InputError(
                f"All {self.n_pixels} pixels are {there}; pixel figures need at least one {missing} pixel: "
                "check the masks."
            )
        counted = self._exact(high) if self.bins is None else self.bins.counted(self.n_normal_images)
        image = np.repeat(np.arange(len(self.region_sizes)), [len(each) for each in self.region_sizes])
        tp = np.cumsum(counted.positives[::-1])[::-1]

        def ranked(
            over: Counts, reached: Counts, shared: Floats, hits: Counts
        ) -> tuple[dict[str, float], Floats]:
            def total(value: Callable[[Indices], Floats]) -> Floats:
                return counted.by_region(value, self.n_regions)

            def area(limit: float) -> Callable[[Indices], Floats]:
                return lambda at: _area(over[at] / n_normal, reached[at] / n_normal, limit)

            found = total(lambda at: _log_share(shared[at], low, high))
            per_image = np.bincount(image, found) / np.bincount(image, sizes)
            values = {
                "pixel_auroc": float(total(area(1.0)).sum()) / n_defect,
                "pixel_ap": float(total(lambda at: hits[at] / (hits[at] + reached[at])).sum()) / n_defect,
                "pixel_f1_max": float((tp / (n_defect + tp + reached)).max()) * 2,
                "aupro": float((total(area(fpr_limit)) / sizes).mean()) / fpr_limit,
                "aupimo": float(per_image.mean()),
            }
            return {key: min(1.0, value) for key, value in values.items()}, per_image

        figures, per_image = ranked(counted.over, counted.reached, counted.shared, tp)
        bounds: dict[str, float] = {}
        if self.bins is not None:
            # In each bin all anomalous pixels above the normal ones, or all below and found one by one.
            first = tp - counted.positives + 1
            most, _ = ranked(counted.over, counted.over, counted.shared_over, tp)
            least, _ = ranked(counted.reached, counted.reached, counted.shared, first)
            bounds = {key: max(most[key] - figures[key], figures[key] - least[key]) for key in figures}
        f1 = tp / (n_defect + tp + counted.reached)
        if not self.n_normal_images:
            bounds.pop("aupimo", None)
        return PixelFigures(
            pixel_auroc=figures["pixel_auroc"],
            pixel_ap=figures["pixel_ap"],
            pixel_f1_max=figures["pixel_f1_max"],
            pixel_f1_max_threshold=float(counted.threshold[len(f1) - 1 - int(np.argmax(f1[::-1]))]),
            aupro=figures["aupro"],
            aupimo=figures["aupimo"] if self.n_normal_images else None,
            aupimo_per_image=tuple(per_image.tolist()) if self.n_normal_images else (),
            n_normal_images=self.n_normal_images,
            n_anomalous_images=len(self.region_sizes),
            n_regions=self.n_regions,
            n_pixels=self.n_pixels,
            n_anomalous_pixels=n_defect,
            error_bounds=bounds,
        )

    def _exact(self, high: float) -> _Counted:
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
        return _Counted(
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

    def counted(self, n_normal_images: int) -> _Counted:
        region, level, count = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        positives = np.bincount(level, count, minlength=len(self.normal)).astype(np.int64)
        used = positives > 0
        reached = np.cumsum(self.normal[::-1])[::-1]
        shared = np.append(np.cumsum(self.shared[::-1])[::-1], 0.0) / max(1, n_normal_images)
        return _Counted(
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


def _area(before: Floats, after: Floats, limit: float) -> Floats:
    """What one pixel, found while the rate rises from `before` to `after`, adds to the area up to `limit`.

    Between two thresholds the curve is a straight line: the pixel counts half on the way, or, where the
    limit cuts the line, the triangle up to there.
    """
    rise = np.where(after > before, after - before, 1.0)
    cut = np.clip(limit - before, 0.0, None)
    return np.where(after <= limit, limit - (before + after) / 2, cut * cut / (2 * rise))


def _log_share(shared: Floats, low: float, high: float) -> Floats:
    """The share of [low, high], on a logarithmic axis, in which a pixel of this shared rate is found."""
    return np.clip(np.log(high / np.maximum(shared, low)) / math.log(high / low), 0.0, 1.0)

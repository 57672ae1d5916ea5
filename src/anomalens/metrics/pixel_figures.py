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

Above `max_exact_pixels` the pixels are counted in bins (`pixel_counts`). The figures then carry their
largest possible error, computed from what the bins hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anomalens.errors import InputError, SettingError
from anomalens.metrics.pixel_counts import Counts, Floats, Indices, Tally
from anomalens.metrics.pixel_maps import Map, Mask, map_name, usable_map

MAX_EXACT_PIXELS = 1 << 26  # 0.5 GiB while float32 pixels are gathered and sorted


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
        image to image.
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
    tally = Tally(max_exact_pixels)
    for place, (anomaly_map, mask) in enumerate(images):
        tally.add(*usable_map(map_name(place, names), anomaly_map, mask))
    return _figures(tally, fpr_limit, low, high)


def _sizes(tally: Tally) -> Counts:
    """Pixels of each region; an InputError where one of the classes has none."""
    if not tally.n_pixels:
        raise InputError("Pixel figures were asked of no images; give anomaly maps with their masks.")
    sizes = np.concatenate([np.zeros(0, np.int64), *tally.region_sizes])
    n_defect = int(sizes.sum())
    if n_defect in (0, tally.n_pixels):
        there, missing = ("anomalous", "normal") if n_defect else ("normal", "anomalous")
        raise InputError(
            f"All {tally.n_pixels} pixels are {there}; pixel figures need at least one {missing} pixel: "
            "check the masks."
        )
    return sizes


def _figures(tally: Tally, fpr_limit: float, low: float, high: float) -> PixelFigures:
    sizes = _sizes(tally)
    n_defect = int(sizes.sum())
    n_normal = tally.n_pixels - n_defect
    counted = tally.counted(high)
    image = np.repeat(np.arange(len(tally.region_sizes)), [len(each) for each in tally.region_sizes])
    tp = np.cumsum(counted.positives[::-1])[::-1]

    def ranked(
        over: Counts, reached: Counts, shared: Floats, hits: Counts
    ) -> tuple[dict[str, float], Floats]:
        def total(value: Callable[[Indices], Floats]) -> Floats:
            return counted.by_region(value, tally.n_regions)

        def area(limit: float) -> Callable[[Indices], Floats]:
            return lambda at: area_up_to(over[at] / n_normal, reached[at] / n_normal, limit)

        found = total(lambda at: log_share(shared[at], low, high))
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
    if tally.bins is not None:
        # In each bin all anomalous pixels above the normal ones, or all below and found one by one.
        first = tp - counted.positives + 1
        most, _ = ranked(counted.over, counted.over, counted.shared_over, tp)
        least, _ = ranked(counted.reached, counted.reached, counted.shared, first)
        bounds = {key: max(most[key] - figures[key], figures[key] - least[key]) for key in figures}
    f1 = tp / (n_defect + tp + counted.reached)
    if not tally.n_normal_images:
        bounds.pop("aupimo", None)
    return PixelFigures(
        pixel_auroc=figures["pixel_auroc"],
        pixel_ap=figures["pixel_ap"],
        pixel_f1_max=figures["pixel_f1_max"],
        pixel_f1_max_threshold=float(counted.threshold[len(f1) - 1 - int(np.argmax(f1[::-1]))]),
        aupro=figures["aupro"],
        aupimo=figures["aupimo"] if tally.n_normal_images else None,
        aupimo_per_image=tuple(per_image.tolist()) if tally.n_normal_images else (),
        n_normal_images=tally.n_normal_images,
        n_anomalous_images=len(tally.region_sizes),
        n_regions=tally.n_regions,
        n_pixels=tally.n_pixels,
        n_anomalous_pixels=n_defect,
        error_bounds=bounds,
    )


def area_up_to(before: Floats, after: Floats, limit: float) -> Floats:
    """What one pixel, found while the rate rises from `before` to `after`, adds to the area up to `limit`.

    Between two thresholds the curve is a straight line: the pixel counts half on the way, or, where the
    limit cuts the line, the triangle up to there.
    """
    rise = np.where(after > before, after - before, 1.0)
    cut = np.clip(limit - before, 0.0, None)
    return np.where(after <= limit, limit - (before + after) / 2, cut * cut / (2 * rise))


def region_overlap(normal: Map, regions: Sequence[Map], *, limit: float = 0.3) -> float:
    """AUPRO of one region an image, without its trapezoids; for few pixels, many times over.

    A pixel of value v counts for all thresholds up to v, so a region's share is the mean over its pixels of
    1 − fpr(v) / limit, never below 0.

    Parameters
    ----------
    normal : float [n]
        Values of normal pixels.
    regions : sequence of float [m]
        Values of each region's pixels.
    limit : float in (0, 1]
        Where the integral over the false-positive rate ends.
    """
    ordered = np.sort(normal)
    above = (len(ordered) - np.searchsorted(ordered, values, side="left") for values in regions)
    return float(np.mean([np.maximum(0, 1 - count / len(ordered) / limit).mean() for count in above]))


def log_share(shared: Floats, low: float, high: float) -> Floats:
    """The share of [low, high], on a logarithmic axis, in which a pixel of this shared rate is found."""
    return np.clip(np.log(high / np.maximum(shared, low)) / math.log(high / low), 0.0, 1.0)

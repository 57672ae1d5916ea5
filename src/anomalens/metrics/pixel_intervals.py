"""Bootstrap intervals of pixel figures: whole images are drawn again, with all their pixels and regions.

Each image is summarised once, as counts of its pixels in some 2,000 bins that all images share; a
resample is then a weighted sum of these rows, and all resamples together are a few matrix products.

The bins lie at quantiles of the anomalous pixels and of the normal ones, the latter 200 to each factor of
ten of the false-positive rate, since AUPIMO lives where that is below 10⁻⁴. Inside a bin both classes are
taken to be spread alike; values that many pixels share have a bin of their own, so that ties stay ties.
The binned figures are within 10⁻³ of the exact ones, for all images and for a resample (tests hold both),
which is far below the width of any interval of a few hundred images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import InputError
from anomalens.metrics.intervals import Interval, percentile_interval, resamples
from anomalens.metrics.pixel_figures import area_up_to, log_share
from anomalens.metrics.pixel_maps import Map, Mask, map_name, mask_regions, usable_map

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

BLOCK: Final = 128  # resamples at once: 2 MB for each of some 30 arrays
_SAMPLE: Final = 1 << 20  # pixels of each class that choose the bins
_PER_DECADE: Final = 200
_DEFECT_BINS: Final = 400
_HIGHEST: Final = 64  # normal pixels of each image that are looked at besides the sample


def pixel_intervals(
    images: Sequence[tuple[Map, Mask | None]],
    *,
    names: Sequence[str] | None = None,
    fpr_limit: float = 0.3,
    pimo_bounds: tuple[float, float] = (1e-5, 1e-4),
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals by the stratified bootstrap of `bootstrap_interval`, over images.

    Memory beside the maps: 4 bytes for each bin and image, three times that for an anomalous one (below a
    tenth of float32 maps of 256 × 256), and some 60 MB for a block of resamples.

    Parameters
    ----------
    images, names, fpr_limit, pimo_bounds
        As `pixel_figures` takes them, but a sequence: it is read twice.
    n_resamples : int ≥ 1
    confidence : float in (0, 1)
    seed : int
        The same seed draws the same images as `bootstrap_interval` does.

    Returns
    -------
    dict of str to Interval
        For pixel_auroc, pixel_ap, pixel_f1_max, aupro and, with normal images, aupimo. `figure` is the
        binned one.

    Raises
    ------
    ImageError
        See `pixel_figures`.
    InputError
        No anomalous or no normal pixels.
    SettingError
        `n_resamples` or `confidence` out of range.
    """
    given = [usable_map(map_name(i, names), *pair) for i, pair in enumerate(images)]
    given.sort(key=lambda pair: pair[1] is None)  # anomalous first, each class in its order
    summary = _summary(given)
    labels = np.arange(len(given)) < len(summary.defect)
    weights = np.stack([
        np.ones(len(given), np.int64),
        *(np.bincount(drawn, minlength=len(given)) for drawn in resamples(labels, n_resamples, seed)),
    ])  # fmt: skip
    blocks = [
        summary.figures(weights[start : start + BLOCK], fpr_limit, *pimo_bounds)
        for start in range(0, len(weights), BLOCK)
    ]
    counts = int(labels.sum()), max(1, int((~labels).sum()))
    found = {}
    for name in blocks[0]:
        values = np.concatenate([block[name] for block in blocks])
        drawn = values[1:][~np.isnan(values[1:])]  # NaN: drawn images that are anomalous in every pixel
        if len(drawn):
            found[name] = percentile_interval(float(values[0]), drawn, confidence, counts)
    return found


@dataclass(frozen=True)
class _Summary:
    """Images as rows of counts in b bins, ascending; a anomalous images, then the normal ones, n in all.

    Attributes
    ----------
    normal : float32 [n, b]
        Normal pixels.
    defect : float32 [a, b]
        Anomalous pixels.
    region : float32 [a, b]
        The same as shares of their regions, summed over the image's regions.
    n_regions : int64 [a]
    part : float64 [b]
        How much of a bin is found where one of its pixels is: ½ on average, 1 for a bin of equal values.
    """

    normal: Rows
    defect: Rows
    region: Rows
    n_regions: NDArray[np.int64]
    part: Floats

    def figures(self, weights: NDArray[np.int64], limit: float, low: float, high: float) -> dict[str, Floats]:
        """The figures of the images, each taken as often as its weight says; int64 [r, n] → float64 [r]."""
        n_anomalous = len(self.defect)
        of_anomalous, of_normal = weights[:, :n_anomalous], weights[:, n_anomalous:]
        normal, defect = _weighted(weights, self.normal), _weighted(of_anomalous, self.defect)
        n_normal, n_defect = normal.sum(axis=1, keepdims=True), defect.sum(axis=1, keepdims=True)
        n_normal[n_normal == 0] = np.nan
        reached, hits = _tail(normal), _tail(defect)
        before, after = (reached - normal) / n_normal, reached / n_normal
        # where, on the way through a bin, its average anomalous pixel is found
        tp, fp = hits - (1 - self.part) * defect, reached - (1 - self.part) * normal
        precision = tp / np.maximum(tp + fp, np.finfo(np.float64).tiny)
        region = _weighted(of_anomalous, self.region)
        overlap = (region * area_up_to(before, after, limit)).sum(axis=1) / (of_anomalous @ self.n_regions)
        found = {
            "pixel_auroc": (defect * area_up_to(before, after, 1.0)).sum(axis=1) / n_defect[:, 0],
            "pixel_ap": (defect * precision).sum(axis=1) / n_defect[:, 0],
            "pixel_f1_max": 2 * (hits / (n_defect + hits + reached)).max(axis=1),
            "aupro": overlap / limit,
        }
        if n_anomalous < len(self.normal):
            rate = _weighted(*_as_shares(of_normal, self.normal[n_anomalous:]))
            shared = (_tail(rate) - (1 - self.part) * rate) / of_normal.sum(axis=1, keepdims=True)
            share = _weighted(*_as_shares(of_anomalous, self.defect)) * log_share(shared, low, high)
            found["aupimo"] = share.sum(axis=1) / of_anomalous.sum(axis=1)
        return {
            name: np.where(np.isnan(n_normal[:, 0]), np.nan, np.minimum(1.0, value))
            for name, value in found.items()
        }


def _as_shares(weights: NDArray[np.int64], rows: Rows) -> tuple[Floats, Rows]:
    """Weights by which the rows, each divided by its sum, are added up."""
    return weights / rows.sum(axis=1, dtype=np.float64), rows


def _weighted(weights: NDArray[Any], rows: Rows) -> Floats:
    return (weights.astype(np.float32) @ rows).astype(np.float64)


def _tail(counts: Floats) -> Floats:
    """For each bin the sum over it and the ones above."""
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _summary(images: Sequence[tuple[Map, Mask | None]]) -> _Summary:
    edges = _edges(images)
    normal, defect, region, n_regions = [], [], [], []
    for values, mask in images:
        normal.append(_counts(values.ravel() if mask is None else values[~mask], edges))
        if mask is not None:
            names, sizes = mask_regions(mask)
            places = np.searchsorted(edges, values[mask], side="right") - 1
            defect.append(np.bincount(places, minlength=len(edges)).astype(np.float32))
            region.append(np.bincount(places, 1 / sizes[names], minlength=len(edges)).astype(np.float32))
            n_regions.append(len(sizes))
    single = np.append(np.nextafter(edges[:-1], np.inf) >= edges[1:], False)
    part = np.where(single, 1.0, 0.5)
    return _Summary(np.stack(normal), np.stack(defect), np.stack(region), np.array(n_regions), part)


def _counts(values: NDArray[Any], edges: NDArray[Any]) -> Rows:
    """How many values each bin holds; sorted first, which is several times faster than to place each."""
    ends = np.searchsorted(np.sort(values), edges, side="left")
    return np.diff(ends, append=len(values)).astype(np.float32)


def _edges(images: Sequence[tuple[Map, Mask | None]]) -> NDArray[Any]:
    """Lower edges of the bins, ascending, the first below all values."""
    step = max(1, sum(values.size for values, _ in images) // _SAMPLE)
    normal, highest, defect = [], [], []
    for values, mask in images:
        pixels = values.ravel() if mask is None else values[~mask]
        normal.append(pixels[::step])
        if len(pixels):
            highest.append(np.partition(pixels, -min(_HIGHEST, len(pixels)))[-_HIGHEST:])
        if mask is not None:
            defect.append(values[mask])
    if not defect or not highest:
        there, missing = ("anomalous", "normal") if defect else ("normal", "anomalous")
        raise InputError(
            f"All pixels are {there}; intervals of pixel figures need at least one {missing} pixel."
        )
    inside = np.sort(np.concatenate(defect))
    chosen = np.concatenate([
        inside[np.linspace(0, len(inside) - 1, _DEFECT_BINS).astype(int)],
        _by_rank(np.concatenate(highest)),
        _by_rank(np.concatenate(normal)),
        [min(float(values.min()) for values, _ in images)],
    ])  # fmt: skip
    common = np.result_type(*(values for values, _ in images))
    edges, often = np.unique(chosen.astype(common), return_counts=True)
    # a value at several quantiles is one that many pixels share
    return np.unique(np.append(edges, np.nextafter(edges[often > 1], common.type(np.inf))))


def _by_rank(values: NDArray[Any]) -> NDArray[Any]:
    """Values at ranks from the top that grow by a constant factor."""
    n_ranks = 1 + int(_PER_DECADE * np.log10(len(values)))
    ranks = np.unique(np.geomspace(1, len(values), n_ranks).astype(int))
    chosen: NDArray[Any] = np.sort(values)[len(values) - ranks]
    return chosen

"""Evidence from normal images alone: defects painted on some of them, and how well a map finds those.

Each image is scored by models that left its group out, before and after a defect is painted on it. Real
defects are subtler, so only the comparison of two ways to draw a map is trusted, never the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.images.arrays import Pixels
from anomalens.images.synthetic_defects import Defect, paint

Floats = NDArray[np.float32]
PAINTED: Final = 48
KINDS: Final[tuple[Defect, ...]] = ("scratch", "stain", "hole", "speck")
FPR_LIMIT: Final = 0.3


def as_bytes(image: Pixels) -> NDArray[np.uint8]:
    """A prepared image as 8-bit values, which defects are painted on."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def painted_kind(index: int) -> Defect:
    """Which kind of defect the copy of this number gets."""
    return KINDS[index % len(KINDS)]


def painted(image: NDArray[np.uint8], index: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image with a defect of one of the four kinds, and the mask of it."""
    return paint(image, painted_kind(index), np.random.default_rng([seed, index]))


def region_overlap(normal: Floats, defects: Sequence[Floats], *, limit: float = FPR_LIMIT) -> float:
    """AUPRO of one region an image, from the values of normal pixels [n] and of each region's pixels.

    A pixel of value v counts for all thresholds up to v, so the mean over false-positive rates up to
    `limit` of the share of a region that is found is the mean over its pixels of 1 − fpr(v) / limit,
    never below 0 (Bergmann et al. 2021, IJCV 129, without its trapezoids).
    """
    ordered = np.sort(normal)
    shares = []
    for values in defects:
        above = len(ordered) - np.searchsorted(ordered, values, side="left")
        shares.append(float(np.maximum(0, 1 - above / len(ordered) / limit).mean()))
    return float(np.mean(shares))


def auroc(normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> float:
    """Share of pairs in the right order, ties counted half."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, side="left")
    up_to = np.searchsorted(ordered, anomalous, side="right")
    return float((below + up_to).mean() / 2 / len(ordered))

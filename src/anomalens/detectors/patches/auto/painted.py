"""Evidence from normal images alone: defects painted on some of them, and how well a map finds those.

Each image is scored by models that left its group out, before and after a defect is painted on it. Real
defects are subtler, so only the comparison of two ways to draw a map is trusted, never the figure.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.images.arrays import Pixels
from anomalens.images.synthetic_defects import Defect, paint

PAINTED: Final = 48
KINDS: Final[tuple[Defect, ...]] = ("scratch", "stain", "hole", "speck")


def as_bytes(image: Pixels) -> NDArray[np.uint8]:
    """A prepared image as 8-bit values, which defects are painted on."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def painted_kind(index: int) -> Defect:
    """Which kind of defect the copy of this number gets."""
    return KINDS[index % len(KINDS)]


def painted(image: NDArray[np.uint8], index: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image with a defect of one of the four kinds, and the mask of it."""
    return paint(image, painted_kind(index), np.random.default_rng([seed, index]))

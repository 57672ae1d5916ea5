"""A second picture of the same thing, made from the first: a stand-in for a normal pair where there is none.

Another place by up to 4 px with a fraction of a pixel, another exposure, and noise: what differs between two
pictures from one camera. Real pairs differ by more (other edges, dirt, another part), so thresholds from made
pairs are too low; whoever uses them says so.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from anomalens.images.arrays import Pixels
from anomalens.images.resample import warp

SHIFT: Final = 4.0  # pixels
EXPOSURE: Final = 0.1  # share of the values
NOISE: Final = 2.0  # standard deviation, of 255


def taken_again(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A changed copy [h, w, 3] of the same type; what comes in at the border is mirrored."""
    height, width = pixels.shape[:2]
    dx, dy = rng.uniform(-SHIFT, SHIFT, 2)
    gain = 1 + rng.uniform(-EXPOSURE, EXPOSURE)
    pad = math.ceil(SHIFT) + 1
    wide: Pixels = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    moved = warp(wide, (width, height), (1.0, 0.0, pad + dx, 0.0, 1.0, pad + dy))
    values = np.clip(moved * gain + rng.normal(0, NOISE, moved.shape), 0, 255)
    changed: Pixels = (np.rint(values) if pixels.dtype == np.uint8 else values).astype(pixels.dtype)
    return changed

"""Images to check detectors with: striped, with slow and fine noise, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalens.images.arrays import Pixels


@dataclass(frozen=True)
class TexturedImages:
    """Small striped images as `TrainingImages`."""

    pixels: tuple[Pixels, ...]
    groups: NDArray[np.int64]
    references: tuple[Pixels, ...] | None = None

    @classmethod
    def make(cls, count: int, size: tuple[int, int], *, seed: int) -> TexturedImages:
        """`count` different images, each a group of its own."""
        pixels = tuple(_textured(size, seed, i) for i in range(count))
        return cls(pixels, np.arange(count, dtype=np.int64))

    @property
    def ids(self) -> Sequence[str]:
        return [f"image-{i}" for i in range(len(self.pixels))]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels[0].shape[0], self.pixels[0].shape[1]

    def __len__(self) -> int:
        return len(self.pixels)

    def __iter__(self) -> Iterator[Pixels]:
        yield from self.pixels


def painted(image: Pixels) -> tuple[Pixels, NDArray[np.bool_]]:
    """A copy with a gross defect in its middle, a black and red chequered square, and its mask."""
    height, width = image.shape[:2]
    side = min(height, width) // 2
    top, left = (height - side) // 2, (width - side) // 2
    y, x = np.mgrid[:side, :side] // 4
    changed = image.copy()
    changed[top : top + side, left : left + side] = 0
    changed[top : top + side, left : left + side, 0] = 255 * ((y + x) % 2)
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return changed, mask


def _textured(size: tuple[int, int], seed: int, index: int) -> Pixels:
    """uint8 [h, w, 3]: stripes of random phase, a slow change of brightness and fine noise."""
    rng = np.random.default_rng([seed, index])
    y, x = np.mgrid[: size[0], : size[1]]
    stripes = 30 * np.sin((x + 0.3 * y) / 2.5 + rng.uniform(0, 2 * np.pi))
    slow = 10 * np.sin(y / 30 + rng.uniform(0, 2 * np.pi))
    noise = rng.normal(0, 4, size)
    grey = (120 + stripes + slow + noise)[:, :, None] * np.array([1.0, 0.9, 0.8])
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)

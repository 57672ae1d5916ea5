"""Tiles: an image cut into overlapping squares, their maps put together again, and training images that
are the tiles of others.

Tiles are spread evenly, so that the last one ends where the image does; neighbours share `overlap` pixels
or a few more. In what they share their maps fade into each other: a tile counts by the square of a sine
over its side, divided by what all tiles together count there, so the weights sum to one, and least where
a network sees least around, at a tile's own border. Both directions are independent, so the weights are
products of two rows of numbers.

An image that is smaller than a tile is continued by its mirror image, and the map is cut back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import TrainingImages
from anomalens.images.arrays import Pixels

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the tiles of images of one size lie, row by row, and how much each counts.

    Attributes
    ----------
    size : (height, width)
        The image's size, in pixels.
    tile : int
        Side of a tile in pixels.
    corners : tuple of (y, x)
        Upper left pixel of each tile.
    weights_y, weights_x : dict from y, or x, to float32 [tile]
    """

    size: tuple[int, int]
    tile: int
    corners: tuple[tuple[int, int], ...]
    weights_y: dict[int, Floats]
    weights_x: dict[int, Floats]

    @classmethod
    def of(cls, size: tuple[int, int], tile: int, overlap: int) -> Layout:
        """The layout for images of this (height, width)."""
        return _layout(size, tile, overlap)

    def __len__(self) -> int:
        return len(self.corners)

    def filled(self, image: Pixels) -> Pixels:
        """The image [h, w, 3], mirrored on the right and below up to one tile where it is smaller."""
        missing = [(0, max(0, self.tile - side)) for side in self.size]
        return np.pad(image, [*missing, (0, 0)], "symmetric") if any(m[1] for m in missing) else image

    def cut(self, filled: Pixels, number: int) -> Pixels:
        """One tile [tile, tile, 3] of a filled image."""
        y, x = self.corners[number]
        return np.ascontiguousarray(filled[y : y + self.tile, x : x + self.tile])

    def blank(self) -> Floats:
        """A map for `add` to add to: as large as the filled image."""
        return np.zeros([max(self.tile, side) for side in self.size], np.float32)

    def add(self, total: Floats, number: int, tile_map: Floats) -> None:
        """Add one tile's map [tile, tile], weighted."""
        y, x = self.corners[number]
        weights = self.weights_y[y][:, None] * self.weights_x[x]
        total[y : y + self.tile, x : x + self.tile] += tile_map * weights


@lru_cache(maxsize=16)
def _layout(size: tuple[int, int], tile: int, overlap: int) -> Layout:
    rows, columns = (_starts(side, tile, overlap) for side in size)
    corners = tuple((y, x) for y in rows for x in columns)
    height, width = (max(side, tile) for side in size)
    return Layout(size, tile, corners, _weights(rows, height, tile), _weights(columns, width, tile))


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """First pixel of each tile along one side: evenly spread, sharing at least `overlap` pixels."""
    count = max(1, -(-(side - overlap) // (tile - overlap)))
    return [round(place) for place in np.linspace(0, max(0, side - tile), count)]


def _weights(starts: Sequence[int], side: int, tile: int) -> dict[int, Floats]:
    """How much each tile counts at each of its pixels, along one side; sums to one at every pixel."""
    window = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
    total = np.zeros(side)
    for start in starts:
        total[start : start + tile] += window
    return {start: (window / total[start : start + tile]).astype(np.float32) for start in starts}


@dataclass(frozen=True, eq=False)
class TileSet:
    """The tiles of other training images as `TrainingImages`; images stream through one at a time.

    Attributes
    ----------
    images : TrainingImages
    layout : Layout
    chosen : tuple of int64 [k]
        Which tiles of each image take part, ascending.
    """

    images: TrainingImages
    layout: Layout
    chosen: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, images: TrainingImages, *, tile: int, overlap: int, most: int, seed: int) -> TileSet:
        """All tiles, or `most` of them: about as many of each image, at random places."""
        layout = Layout.of(images.size, tile, overlap)
        n = len(images)
        if n * len(layout) <= most:
            return cls(images, layout, (np.arange(len(layout)),) * n)
        rng = np.random.default_rng(seed)
        counts = np.full(n, most // n)
        counts[rng.permutation(n)[: most % n]] += 1
        chosen = tuple(np.sort(rng.permutation(len(layout))[:count]) for count in counts)
        return cls(images, layout, chosen)

    @property
    def complete(self) -> bool:
        """Whether every tile of every image takes part."""
        return len(self) == len(self.images) * len(self.layout)

    @property
    def ids(self) -> Sequence[str]:
        """The image's id and where in it the tile is."""
        return [
            f"{name} (tile at x {self.layout.corners[number][1]}, y {self.layout.corners[number][0]})"
            for name, numbers in zip(self.images.ids, self.chosen, strict=True)
            for number in numbers
        ]

    @property
    def groups(self) -> NDArray[np.int64]:
        """A tile is of its image's group: what else shows the same thing is left out with it."""
        return np.repeat(np.asarray(self.images.groups), [len(numbers) for numbers in self.chosen])

    @property
    def classes(self) -> Sequence[str | None]:
        pairs = zip(self.images.classes, self.chosen, strict=True)
        return [name for name, numbers in pairs for _ in numbers]

    @property
    def size(self) -> tuple[int, int]:
        return self.layout.tile, self.layout.tile

    def __len__(self) -> int:
        return sum(len(numbers) for numbers in self.chosen)

    def __iter__(self) -> Iterator[Pixels]:
        for image, numbers in zip(self.images, self.chosen, strict=True):
            filled = self.layout.filled(image)
            for number in numbers:
                yield self.layout.cut(filled, int(number))

"""Tiled: any pixel-level detector on images too large for one pass of a network (12 megapixels and more).

What it does. Images are cut into overlapping tiles (`tiles.py`). The detector learns from tiles as if they
were images, and scores a new image tile by tile: the maps fade into each other where tiles overlap, and the
image's score is the highest of its tiles' scores. Nothing is made smaller, so a fault of a few pixels is
still a few pixels.

Out-of-fold scores. A tile belongs to the group of its image, so that a left-out score has seen no tile of the
same image. An image's score is the maximum over *all* its tiles; over some of them it would be too low, and
the threshold with it. So where tiles were drawn, or the detector left some without a score, there is no
maximum, and the whole is fitted on parts of the images instead (`cross_fit`): five times the work, and the
same maps as later. A detector that keeps images from learning (`holds_out`) is asked about those, whole.
Maxima of maps are taken to be those of the tiles' maps: a blend of maps is nowhere higher than the highest of
them, so regions are rather too small than too large.

What is lost. There is one model for all tiles, so it describes a texture: it does not know where in the image
a tile is, and what stands in a wrong place looks normal. `padim`, layout and detail of `auto` and `spade` mix
what lies at the same place of different tiles, and only gain where tiles of one place look alike. No tile
sees more than itself: a fault that only the whole image shows is missed, and more tiles mean more chances for
a false alarm, which the threshold pays for.

Memory. One image at a time (those that are decoded ahead come on top), the detector's own budget for
`max_tiles` tiles, and a float32 map of the image: 48 MB for 12 megapixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Reasons,
    Scores,
    Settings,
    State,
    TrainingImages,
    parameter,
)
from anomalens.detectors.tiles import Layout, TileSet
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job

TILE: Final = 256
OVERLAP: Final = 32


@dataclass(frozen=True)
class TiledSettings(Settings):
    """How images are cut."""

    tile: int = parameter(TILE, "side of a tile in pixels: what the network sees at once", limits=(32, 2048))
    overlap: int = parameter(
        OVERLAP, "pixels that neighbouring tiles share at least, up to half a tile", limits=(0, 1024)
    )
    max_tiles: int = parameter(2000, "tiles that are learnt from", limits=(1, 10**6))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.overlap > self.tile // 2:
            raise SettingError(
                f"The overlap is {self.overlap} and the tile {self.tile} pixels; give an overlap of at most "
                f"half the tile, {self.tile // 2}."
            )


class Tiled(Detector):
    """A pixel-level detector that sees an image tile by tile.

    Parameters
    ----------
    inner : Detector
        Sees the tiles; it is not fitted itself, another one like it is.
    settings : TiledSettings, optional
    """

    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = TiledSettings
    settings: TiledSettings
    inner_: Detector
    learnt_: tuple[int, int]

    def __init__(self, inner: Detector, settings: TiledSettings | None = None) -> None:
        super().__init__(settings)
        self._inner = inner

    @property
    def name(self) -> str:
        return f"tiled:{self._inner.name}"

    @property
    def family(self) -> str:
        return self._inner.family

    @property
    def holds_out(self) -> bool:
        return self._inner.holds_out

    @property
    def made_of(self) -> Sequence[Detector]:
        return (self._inner,)

    @property
    def parameters(self) -> dict[str, Any]:
        return {**self.settings.to_plain(), **self._inner.parameters}

    def fresh(self) -> Self:
        return type(self)(self._inner.fresh(), self.settings)

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        if not len(images):
            raise SettingError(f"{self.name} needs at least one normal image to fit and was given none.")
        s = self.settings
        tiles = TileSet.of(images, tile=s.tile, overlap=s.overlap, most=s.max_tiles, seed=job.seed)
        self.learnt_ = len(tiles), len(images) * len(tiles.layout)
        self.inner_ = self._inner.fresh()
        scores = self.inner_.fit(tiles, job)
        if scores is not None and self.holds_out:
            return self._of_held_out(images, tiles, scores)
        if scores is None or not tiles.complete or not np.isfinite(scores.image).all():
            return None
        assert scores.maps is not None
        maxima = _of_images(scores.maps.max((1, 2)), len(images))
        return Scores(_of_images(scores.image, len(images)), maxima[:, None, None])

    def score(self, batch: Batch) -> Scores:
        image = np.empty(len(batch), np.float64)
        maps = []
        highest: list[Callable[[int], Reasons]] = []  # what the tile of each image's highest score says
        for number, pixels in enumerate(batch.images):
            layout = self._layout(pixels)
            total, best, says = layout.blank(), -np.inf, None
            for tile, scores in enumerate(self._tile_scores(layout, pixels)):
                assert scores.maps is not None
                says = scores.explain if scores.image[0] > best else says
                best = np.maximum(best, scores.image[0])  # NaN stays NaN
                layout.add(total, tile, scores.maps[0])
            image[number] = best
            if says is not None:
                highest.append(says)
            maps.append(total[: layout.size[0], : layout.size[1]])
        # one image, the usual case, is not copied
        stacked = maps[0][None] if len(maps) == 1 else np.array(maps)
        told = len(highest) == len(batch)
        return Scores(image, stacked, explain=(lambda i: highest[i](0)) if told else None)

    @property
    def notes(self) -> tuple[str, ...]:
        learnt, of = self.learnt_
        cut = f"tiles of {self.settings.tile} px, overlapping by {self.settings.overlap} or more"
        return f"learnt from {learnt} of {of} {cut}", *self.inner_.notes

    @property
    def curves(self) -> Mapping[str, Sequence[float]]:
        return self.inner_.curves

    def state(self) -> State:
        inner = self.inner_.state()
        cut = {"tile": self.settings.tile, "overlap": self.settings.overlap, "learnt": list(self.learnt_)}
        return State({**cut, "inner": dict(inner.numbers)}, inner.arrays, inner.graphs)

    def rebuilt(self, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        tiled = type(self)(self._inner, TiledSettings(tile=n["tile"], overlap=n["overlap"]))
        tiled.learnt_ = int(n["learnt"][0]), int(n["learnt"][1])
        inner = State(n["inner"], state.arrays, state.graphs)
        side = tiled.settings.tile
        tiled.inner_ = self._inner.rebuilt(inner, size=(side, side), runtime=runtime)
        return tiled

    def _of_held_out(self, images: TrainingImages, tiles: TileSet, of_tiles: Scores) -> Scores:
        """Scores of the images of which the detector kept every tile from learning, NaN for the others."""
        ends = np.cumsum([len(numbers) for numbers in tiles.chosen])[:-1]
        kept = [len(part) and np.isfinite(part).all() for part in np.split(of_tiles.image, ends)]
        found = Scores(np.full(len(images), np.nan), np.full((len(images), 1, 1), np.nan, np.float32))
        assert found.maps is not None
        for number, (image, name) in enumerate(zip(images, images.ids, strict=True)):
            if kept[number]:
                answer = self.score(Batch([image], [name]))
                assert answer.maps is not None
                found.image[number], found.maps[number] = answer.image[0], answer.maps.max()
        return found

    def _layout(self, image: Pixels) -> Layout:
        return Layout.of((image.shape[0], image.shape[1]), self.settings.tile, self.settings.overlap)

    def _tile_scores(self, layout: Layout, image: Pixels) -> Any:
        filled = layout.filled(image)
        for number in range(len(layout)):
            yield self.inner_.score(Batch([layout.cut(filled, number)], [f"tile-{number}"]))


def can_be_tiled(detector: Detector) -> bool:
    """Whether it gives maps of single images, and is not made of others itself."""
    return detector.pixel_level and not detector.uses_references and not detector.made_of


def _of_images(values: NDArray[Any], n_images: int) -> NDArray[Any]:
    """The maximum over each image's tiles, [n]; NaN where one of them is NaN."""
    highest: NDArray[Any] = values.reshape(n_images, -1).max(1)
    return highest

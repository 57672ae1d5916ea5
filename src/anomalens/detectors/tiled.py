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
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import Batch, Detector, Reasons, Scores, State, TrainingImages
from anomalens.detectors.registry import COMBINE, OURS, TILED, load_detector
from anomalens.detectors.tiled_settings import TiledSettings
from anomalens.detectors.tiles import Layout, TileSet
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job


class Tiled(Detector):
    """A pixel-level detector that sees an image tile by tile."""

    kind: ClassVar[type[Detector]]
    settings: TiledSettings
    inner_: Detector
    learnt_: tuple[int, int]

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        if not len(images):
            raise SettingError(f"{self.name} needs at least one normal image to fit and was given none.")
        s = self.settings
        tiles = TileSet.of(images, tile=s.tile, overlap=s.overlap, most=s.max_tiles, seed=job.seed)
        self.learnt_ = len(tiles), len(images) * len(tiles.layout)
        self.inner_ = self.kind(s.inner)
        scores = self.inner_.fit(tiles, job)
        if scores is not None and self.kind.holds_out:
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

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        tiled = cls(cls.settings_type.from_values({key: n[key] for key in ("tile", "overlap")}))
        tile = tiled.settings.tile
        tiled.learnt_ = int(n["learnt"][0]), int(n["learnt"][1])
        inner = State(n["inner"], state.arrays, state.graphs)
        tiled.inner_ = cls.kind.from_state(inner, size=(tile, tile), runtime=runtime)
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


def tiling(name: str) -> type[Tiled]:
    """The class of `tiled:NAME`.

    Raises
    ------
    SettingError
        The detector is unknown, gives no maps, or is made of others itself.
    """
    inner = name.partition(":")[2].strip()
    if inner.partition(":")[0].strip() in (COMBINE, TILED):
        raise SettingError(
            f"The detector {name!r:.80} tiles what is itself made of detectors; name one, as in tiled:auto."
        )
    kind = load_detector(inner)
    if not kind.pixel_level:
        kinds = {known: load_detector(known) for known in OURS}
        maps = ", ".join(known for known, one in kinds.items() if one.pixel_level and not one.uses_references)
        raise SettingError(
            f"The detector {inner!r} gives no maps to put together; tile one that does: {maps}."
        )
    if kind.uses_references:
        raise SettingError(
            f"The detector {inner!r} compares each image with its own reference, and references are not cut "
            "into tiles; give a larger size instead."
        )
    return tiled_class(inner, kind)


@lru_cache(maxsize=64)
def tiled_class(name: str, kind: type[Detector]) -> type[Tiled]:
    """The class of a detector on tiles, from the detector's name and class."""
    about: dict[str, Any] = {"kind": kind, "__module__": __name__}
    return type(
        "Tiled",
        (Tiled,),
        {
            **about,
            "__doc__": Tiled.__doc__,
            "name": f"{TILED}:{name}",
            "family": kind.family,
            "pixel_level": True,
            "holds_out": kind.holds_out,
            "settings_type": type("TiledSettings", (TiledSettings,), about),
        },
    )


def _of_images(values: NDArray[Any], n_images: int) -> NDArray[Any]:
    """The maximum over each image's tiles, [n]; NaN where one of them is NaN."""
    highest: NDArray[Any] = values.reshape(n_images, -1).max(1)
    return highest

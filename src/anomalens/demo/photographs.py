"""The photographs of the demonstration, and the data set that is cut from each.

scikit-image's wheel carries them; they are read as files, since its own loaders may ask the network. A
photograph is cut into tiles that share no pixel. Of every four one is tested, in turn the left and the right
one of the lower two, so that tested tiles lie among those that are learnt from: the wall is seen at an angle,
and its right side does not look like its left one. Every second tested tile gets a painted defect whose mask
is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalens.errors import InputError
from anomalens.images.decode import decode
from anomalens.images.synthetic_defects import DEFECTS, paint
from anomalens.packages import package_folder


@dataclass(frozen=True)
class Photograph:
    """A photograph of the demonstration.

    Attributes
    ----------
    name : str
    file : str
        In scikit-image's data.
    tile : int
        Side of the tiles, in pixels.
    what : str
        What it shows.
    square : (x, y, side) or None
        The part that is cut into tiles; None for all of it.
    fails : str
        Why hardly anything is found on it; empty where things are found.
    """

    name: str
    file: str
    tile: int
    what: str
    square: tuple[int, int, int] | None = None
    fails: str = ""

    def pixels(self) -> NDArray[np.uint8]:
        """The part that is cut, uint8 [h, w, 3]; InputError where scikit-image does not carry it."""
        found = load_photograph(self.file)
        if self.square is None:
            return found
        x, y, side = self.square
        return found[y : y + side, x : x + side]


PHOTOGRAPHS: Final = (
    Photograph("brick", "brick.png", 40, "a brick wall"),
    Photograph("moon", "moon.png", 40, "the surface of the moon"),
    Photograph("retina", "retina.jpg", 80, "the back of an eye", square=(220, 220, 960)),
    Photograph(
        "gravel",
        "gravel.png",
        40,
        "gravel",
        fails="No two tiles are alike, and stones and gaps are as dark and as sharp as what is painted, so "
        "defects hide among them. A surface on which one sees a defect at a glance is what this is for.",
    ),
)


@dataclass(frozen=True)
class Tiles:
    """Tiles of one photograph.

    Attributes
    ----------
    normal : dict of str to uint8 [h, w, 3]
        File name to tile: three of every four.
    test : dict of str to uint8 [h, w, 3]
        The others; the name starts with its folder, "good" or a kind of defect.
    masks : dict of str to bool [h, w]
        What was painted, for each test tile that is not good.
    """

    normal: dict[str, NDArray[np.uint8]]
    test: dict[str, NDArray[np.uint8]]
    masks: dict[str, NDArray[np.bool_]]

    @classmethod
    def cut(cls, photograph: NDArray[np.uint8], *, side: int, seed: int = 0, painted: float = 0.5) -> Tiles:
        """Cut a photograph into tiles that do not overlap, and paint on a share of the tested ones."""
        rng = np.random.default_rng(seed)
        columns, rows = photograph.shape[1] // side, photograph.shape[0] // side
        normal: dict[str, NDArray[np.uint8]] = {}
        tested: list[tuple[str, NDArray[np.uint8]]] = []
        for column in range(columns):
            for row in range(rows):
                y, x = row * side, column * side
                tile = photograph[y : y + side, x : x + side]
                if row % 2 == 1 and column % 2 == row // 2 % 2:
                    tested.append((f"x{x:03d}-y{y:03d}.png", tile))
                else:
                    normal[f"x{x:03d}-y{y:03d}.png"] = tile
        some = rng.permutation(len(tested))[: int(painted * len(tested))]
        kind_of = {int(i): DEFECTS[k % len(DEFECTS)] for k, i in enumerate(some)}
        test, masks = {}, {}
        for i, (name, tile) in enumerate(tested):
            if i not in kind_of:
                test[f"good/{name}"] = tile
                continue
            name = f"{kind_of[i]}/{name}"
            test[name], masks[name] = paint(tile, kind_of[i], rng)
        return cls(normal, test, masks)

    def write(self, folder: Path) -> None:
        """Write PNG files in the usual layout of data sets: train, test, ground_truth."""
        for name, tile in self.normal.items():
            _write(folder / "train" / "good" / name, tile)
        for name, tile in self.test.items():
            _write(folder / "test" / name, tile)
        for name, mask in self.masks.items():
            path = folder / "ground_truth" / name
            _write(path.with_name(f"{path.stem}_mask.png"), mask.astype(np.uint8) * 255)


def load_photograph(file: str) -> NDArray[np.uint8]:
    """A photograph of scikit-image's wheel, uint8 [h, w, 3].

    Raises
    ------
    InputError
        The installed scikit-image does not carry it.
    """
    folder = package_folder("skimage")
    if folder is not None and (path := folder / "data" / file).is_file():
        return decode(path).pixels.astype(np.uint8)
    raise InputError(
        f"The photograph {file} of scikit-image is not installed; reinstall it with  "
        "pip install --force-reinstall scikit-image"
    )


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)

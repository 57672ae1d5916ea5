"""The photographs of the demonstration, and the data set that is cut from each.

scikit-image's wheel carries three grey photographs of textures (brick, grass, gravel; 512 x 512 px,
from CC0 Textures). They are read as files: scikit-image's own loaders may ask the network.
Tiles alternate as on a chessboard: the white ones are normal and are learnt from, the black ones
are tested, every second with a painted defect whose mask is known. Halves would not do: the brick
wall is seen at an angle, so its right side does not look like its left one, and a false-alarm rate
that is calibrated on one promises nothing for the other.
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

PHOTOGRAPHS: Final = ("brick", "gravel", "grass")
TILE: Final = 64


@dataclass(frozen=True)
class Tiles:
    """Tiles of one photograph.

    Attributes
    ----------
    normal : dict of str to uint8 [h, w, 3]
        File name to tile, the white squares.
    test : dict of str to uint8 [h, w, 3]
        The black squares; the name starts with its folder, "good" or a kind of defect.
    masks : dict of str to bool [h, w]
        What was painted, for each test tile that is not good.
    """

    normal: dict[str, NDArray[np.uint8]]
    test: dict[str, NDArray[np.uint8]]
    masks: dict[str, NDArray[np.bool_]]

    @classmethod
    def cut(cls, photograph: NDArray[np.uint8], *, side: int = TILE, seed: int = 0) -> Tiles:
        """Cut a photograph into tiles that do not overlap, and paint on half of the tested ones."""
        rng = np.random.default_rng(seed)
        columns, rows = photograph.shape[1] // side, photograph.shape[0] // side
        normal: dict[str, NDArray[np.uint8]] = {}
        black: list[tuple[str, NDArray[np.uint8]]] = []
        for column in range(columns):
            for row in range(rows):
                y, x = row * side, column * side
                tile = photograph[y : y + side, x : x + side]
                if (column + row) % 2 == 0:
                    normal[f"x{x:03d}-y{y:03d}.png"] = tile
                else:
                    black.append((f"x{x:03d}-y{y:03d}.png", tile))
        painted = rng.permutation(len(black))[: len(black) // 2]
        kind_of = {int(i): DEFECTS[k % len(DEFECTS)] for k, i in enumerate(painted)}
        test, masks = {}, {}
        for i, (name, tile) in enumerate(black):
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


def load_photograph(name: str) -> NDArray[np.uint8]:
    """One of `PHOTOGRAPHS`, uint8 [512, 512, 3].

    Raises
    ------
    InputError
        The installed scikit-image does not carry it.
    """
    folder = package_folder("skimage")
    if folder is not None and (path := folder / "data" / f"{name}.png").is_file():
        return decode(path).pixels.astype(np.uint8)
    raise InputError(
        f"The photograph {name}.png of scikit-image is not installed; reinstall it with  "
        "pip install --force-reinstall scikit-image"
    )


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)

"""Small sets as a user has them: at most 150 normal pictures of one kind, and a few dozen to test on.

Each gives uint8 arrays [n, side, side, 3], `train`, `good` and `odd`, as large as trained detectors see them.
Sets of one source (two digits, two kinds of groceries) count as one where settings are chosen.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from real_sets import DATA

Pixels = NDArray[np.uint8]
NORMAL = 150


@dataclass(frozen=True)
class FewImages:
    """Normal pictures to learn from, new normal ones, and odd ones."""

    train: Pixels
    good: Pixels
    odd: Pixels


def folder(name: str, *, train: int = NORMAL, side: int = 128, test: int = 90) -> FewImages:
    """A folder with train/good and test/<kind>."""
    good = sorted((DATA / name / "test" / "good").glob("*"))
    odd = [path for path in sorted((DATA / name / "test").glob("*/*")) if path.parent.name != "good"]
    learnt = sorted((DATA / name / "train" / "good").glob("*"))
    return FewImages(
        *(_stack([_read(path) for path in _some(paths, count)], side)
          for paths, count in ((learnt, train), (good, test), (odd, test)))
    )  # fmt: skip


def arrays(
    name: str, normal: int, *, side: int, test: int = 90, change: Callable[..., Pixels] | None = None
) -> FewImages:
    """One class of an .npz against the others."""
    data = _npz(name)
    rng = np.random.default_rng(5)
    good, odd = (data["x_test"][keep] for keep in (data["y_test"] == normal, data["y_test"] != normal))
    parts = []
    for pictures, count in ((data["x_train"][data["y_train"] == normal], NORMAL), (good, test), (odd, test)):
        chosen = _some(list(pictures), count)
        parts.append(_stack([change(one, rng) if change else one for one in chosen], side))
    return FewImages(*parts)


def coloured(cell: Pixels, rng: np.random.Generator) -> Pixels:
    """A grey blood cell as a stain shows it, about 130 px wide: pink, its dark parts purple.

    The shared cells are grey; hue and size vary from picture to picture as they do in stained smears.
    """
    side = int(130 * rng.uniform(0.85, 1.15))
    grey = np.asarray(Image.fromarray(cell).resize((side, side), Image.Resampling.BICUBIC)) / 255.0
    pink, purple = np.array([0.93, 0.72, 0.70]) + rng.normal(0, 0.03, 3), np.array([0.35, 0.15, 0.45])
    light = np.clip((grey - 0.25) / 0.5, 0, 1)[..., None]
    hue = (1 - light) * purple / purple.max() + light * pink / pink.max()
    picture = hue * grey[..., None] * 1.1
    picture[grey < 0.04] = 0
    return np.asarray(np.clip(picture, 0, 1) * 255, np.uint8)


def groceries(normal: str, others: str, *, side: int = 128, test: int = 80) -> FewImages:
    """Products whose class begins with one name against those with another."""
    learnt, tested = _groceries("train/"), _groceries("test/")
    good = [one for name in sorted(tested) if name.startswith(normal) for one in tested[name]]
    odd = [
        one
        for name in sorted(tested)
        if name.startswith(others) and not name.startswith(normal)
        for one in tested[name]
    ]
    train = [one for name in sorted(learnt) if name.startswith(normal) for one in learnt[name]]
    parts = ((train, NORMAL), (good, test), (odd, test))
    return FewImages(*(_stack(_some(pictures, count), side) for pictures, count in parts))


def texture(kind: int, *, side: int = 32) -> FewImages:
    """One of the describable textures against the other five."""
    data = _npz("dtd_textures_ood")
    own, other = data["x_test"][data["y_test"] == kind], data["x_test"][data["y_test"] != kind]
    return FewImages(_stack(own[:32], side), _stack(own[32:], side), _stack(_some(list(other), 60), side))


@cache
def _npz(name: str) -> dict[str, NDArray[np.generic]]:
    (path,) = (DATA / name).glob("*.npz")
    with np.load(path) as data:
        return {key: data[key] for key in data.files}


@cache
def _groceries(part: str) -> dict[str, list[Pixels]]:
    found: dict[str, list[Pixels]] = {}
    with tarfile.open(next((DATA / "grocery_store").glob("*.tar"))) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(part) and (file := tar.extractfile(member)):
                picture = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
                found.setdefault(member.name.split("/")[1], []).append(picture)
    return found


def _some(items: Sequence[Any], count: int) -> list[Any]:
    return [items[i] for i in np.sort(np.random.default_rng(0).permutation(len(items))[:count])]


def _read(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"))


def _stack(pictures: Sequence[Pixels] | Pixels, side: int) -> Pixels:
    def resized(picture: Pixels) -> Pixels:
        way = Image.Resampling.LANCZOS if max(picture.shape[:2]) > side else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(picture).convert("RGB").resize((side, side), way))

    return np.stack([resized(picture) for picture in pictures])


SETS: dict[str, tuple[str, Callable[[], FewImages]]] = {  # name: source, what gives it
    "cells_grey": ("cells", partial(arrays, "malaria_cells", 0, side=64, test=150)),
    "cells_colour": ("cells", partial(arrays, "malaria_cells", 0, side=128, test=100, change=coloured)),
    "apples": ("groceries", partial(groceries, "Fruit__Apple", "Fruit__")),
    "milk": ("groceries", partial(groceries, "Packages__Milk", "Packages__")),
    "magnetic": ("magnetic", partial(folder, "magnetic_tile")),
    "paper_bdp": ("paper", partial(folder, "paper_piped/bdp01_tl", train=32)),
    "paper_gla": ("paper", partial(folder, "paper_piped/gla01_tl", train=32)),
    "mnist3": ("mnist", partial(arrays, "mnist", 3, side=32)),
    "mnist8": ("mnist", partial(arrays, "mnist", 8, side=32)),
    "solar": ("solar", partial(folder, "solar_el_rgba", train=9)),
    "cookies": ("cookies", partial(folder, "cookies_cracked", train=31)),
    "brick": ("brick", partial(folder, "brick_cracks")),
    "transistor": ("transistor", partial(folder, "mvtec_transistor")),
    "casting": ("casting", partial(folder, "casting_impeller")),
    "car": ("cifar", partial(arrays, "cifar10", 1, side=32)),
    "cat": ("cifar", partial(arrays, "cifar10", 3, side=32)),
    "dtd0": ("dtd", partial(texture, 0)),
}

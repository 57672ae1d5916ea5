"""Masks as drawing tools, labelling tools and numpy write them: what is marked is the same in all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from anomalens.images.mask_files import looks_like_mask, marked_in

TRUE = np.zeros((40, 60), bool)
TRUE[10:20, 15:40] = True
VALUES = TRUE.astype(np.uint8)


def rgba(ground: tuple[int, ...], marked: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(TRUE[..., None], np.array(marked, np.uint8), np.array(ground, np.uint8)))


def palette(colours: list[int], index: np.ndarray = VALUES, **info: Any) -> Image.Image:
    image = Image.fromarray(index.astype(np.uint8)).convert("L")
    image = image.copy()
    image.putpalette(colours)
    image.info.update(info)
    return image


WRITERS: dict[str, Callable[[Path], object]] = {
    "plain.png": lambda p: Image.fromarray(VALUES * 255).save(p),
    "ones.png": lambda p: Image.fromarray(VALUES).save(p),
    "bits.png": lambda p: Image.fromarray(TRUE).save(p),
    "clear.png": lambda p: rgba((255, 255, 255, 0), (255, 0, 0, 255)).save(p),
    "clear_black.png": lambda p: rgba((0, 0, 0, 0), (0, 0, 0, 255)).save(p),
    "opaque.png": lambda p: rgba((0, 0, 0, 255), (255, 255, 255, 255)).save(p),
    "grey_alpha.png": lambda p: rgba((9, 9, 9, 0), (9, 9, 9, 255)).convert("LA").save(p),
    "palette.png": lambda p: palette([0, 0, 0, 128, 0, 0]).save(p),
    "palette_white.png": lambda p: palette([255, 255, 255, 255, 0, 0]).save(p),
    "palette_black.png": lambda p: palette([0, 0, 0, 0, 0, 0]).save(p),
    "palette_clear.png": lambda p: palette([255, 0, 0, 0, 255, 0]).save(p, transparency=0),
    "palette_turned.png": lambda p: palette([255, 255, 255, 0, 0, 0], 1 - VALUES).save(p),
    "bool.tif": lambda p: tifffile.imwrite(p, TRUE),
    "bool_pillow.tif": lambda p: Image.fromarray(TRUE).save(p),
    "ids.tif": lambda p: tifffile.imwrite(p, VALUES.astype(np.int32) * 70000),
    "float255.tif": lambda p: tifffile.imwrite(p, VALUES.astype(np.float32) * 255),
    "lossy.jpg": lambda p: Image.fromarray(VALUES * 255).save(p, quality=95),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_marked_is_the_same_however_it_was_saved(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    found = marked_in(tmp_path / name)
    if name.endswith(".jpg"):
        assert (found != TRUE).mean() < 0.01
    else:
        np.testing.assert_array_equal(found, TRUE)


def test_a_region_to_inspect_may_be_drawn_in_all_these_ways(tmp_path: Path) -> None:
    from anomalens import Preprocessing
    from anomalens.images.decode import Picture

    picture = Picture(np.full((40, 60, 3), 200, np.uint8), (60, 40))
    for name in ("ones.png", "clear.png", "palette_black.png", "bool.tif"):
        WRITERS[name](tmp_path / name)
        preparing = Preprocessing.parse(f"mask={tmp_path / name}", width=60, height=40)
        np.testing.assert_array_equal(preparing.apply(picture).pixels[..., 0] == 200, TRUE)


def test_a_photograph_on_a_transparent_ground_is_no_mask(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 4), np.uint8)
    pixels[..., 3] = VALUES * 255
    Image.fromarray(pixels).save(tmp_path / "cut_out.png")
    assert not looks_like_mask(tmp_path / "cut_out.png")
    WRITERS["clear.png"](tmp_path / "clear.png")
    WRITERS["ids.tif"](tmp_path / "ids.tif")
    assert looks_like_mask(tmp_path / "clear.png") and looks_like_mask(tmp_path / "ids.tif")

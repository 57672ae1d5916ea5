"""Kinds of TIFF pages: what is shown is read, what is no picture is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from anomalens import ImageSet
from anomalens.errors import ImageError
from anomalens.images import decode

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (40, 60, 3), np.uint16)
GREY = RNG.integers(0, 65536, (40, 60), np.uint16)


def read(path: Path, values: Any, **options: Any) -> np.ndarray:
    tifffile.imwrite(path, values, **options)
    return decode(path).pixels


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_colour_keeps_its_bits_plane_by_plane_or_not(
    tmp_path: Path, order: Any, tile: Any, compression: Any
) -> None:
    options = {"photometric": "rgb", "byteorder": order, "tile": tile, "compression": compression}
    expected = (DEEP / np.float32(257)).astype(np.float32)
    planes = read(tmp_path / "p.tif", np.moveaxis(DEEP, -1, 0), planarconfig="separate", **options)
    np.testing.assert_array_equal(planes, expected)
    np.testing.assert_array_equal(read(tmp_path / "c.tif", DEEP, planarconfig="contig", **options), expected)


def test_a_file_and_an_array_of_the_same_values_are_the_same_picture(tmp_path: Path) -> None:
    for name, values, options in (
        ("rgb16", DEEP, {"photometric": "rgb"}),
        ("grey16", GREY, {"photometric": "minisblack"}),
        ("rgb32f", (DEEP / 65535).astype(np.float32), {"photometric": "rgb"}),
        ("grey64f", GREY / 65535, {"photometric": "minisblack"}),
        ("rgb8", (DEEP >> 8).astype(np.uint8), {"photometric": "rgb"}),
    ):
        found = read(tmp_path / f"{name}.tif", values, **options)
        (array,) = (entry.read().pixels for entry in ImageSet.open([values]))
        np.testing.assert_allclose(found, array, rtol=1e-6, atol=1e-4)


def test_alpha_shows_white_and_a_fourth_channel_of_no_meaning_is_left_out(tmp_path: Path) -> None:
    rgba = np.dstack([DEEP, np.zeros((40, 60), np.uint16)])
    seen = read(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    assert (seen == 255).all()
    grey = np.dstack([GREY, np.full((40, 60), 65535, np.uint16)])
    seen = read(tmp_path / "g.tif", grey, photometric="minisblack", extrasamples=["unassalpha"])
    np.testing.assert_allclose(seen[..., 0], GREY / 257, rtol=1e-5)
    other = read(tmp_path / "o.tif", rgba, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(other, (DEEP / np.float32(257)).astype(np.float32))


def test_a_declared_largest_value_is_white(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, 40 * 60).reshape(40, 60).astype(np.uint16)
    extratags = [(281, 3, 1, 4095, True)]
    seen = read(tmp_path / "m.tif", values, photometric="minisblack", extratags=extratags)
    assert seen.max() == 255 and seen.min() == 0
    assert read(tmp_path / "u.tif", values, photometric="minisblack").max() < 16  # nothing declares it


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (GREY, {"photometric": "cfa"}, "colour sensor"),
        (RNG.integers(0, 255, (40, 60, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"},
         "5 channels"),
        (GREY.astype(np.int16), {}, "signed"),
        (GREY.astype(np.uint32) * 9, {}, "0 to 65535|16 bits"),
        (np.full((40, 60), 7.5), {}, "0 to 1"),
    ],
)  # fmt: skip
def test_what_is_no_picture_in_grey_or_colour_is_named_and_not_called_damaged(
    tmp_path: Path, values: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ImageError, match=said) as caught:
        read(tmp_path / "x.tif", values, **options)
    assert "damaged" not in str(caught.value)


def test_reduced_copies_and_masks_of_other_pages_are_no_pictures(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:
        tiff.write((GREY >> 8).astype(np.uint8))
        tiff.write((GREY[::2, ::2] >> 8).astype(np.uint8), subfiletype=1)
        tiff.write(GREY > 9999, subfiletype=4)
        tiff.write((GREY[::-1] >> 8).astype(np.uint8))
    images = ImageSet.open([tmp_path / "pyramid.tif"])
    assert [entry.id.rpartition("#")[2] for entry in images] == ["page1", "page4"]
    np.testing.assert_array_equal(images[1].read().pixels[..., 0], (GREY[::-1] >> 8).astype(np.uint8))


def test_a_stack_behind_one_page_is_refused_and_not_cut_to_its_first_plane(tmp_path: Path) -> None:
    stack = RNG.integers(0, 255, (5, 40, 60), np.uint8)
    tifffile.imwrite(tmp_path / "one.tif", stack, imagej=True, truncate=True)
    with pytest.raises(ImageError, match="a stack of 5 planes"):
        decode(tmp_path / "one.tif")
    tifffile.imwrite(tmp_path / "five.tif", stack, imagej=True)
    assert len(ImageSet.open([tmp_path / "five.tif"])) == 5


@pytest.mark.parametrize("values", [GREY, (GREY >> 8).astype(np.uint8)], ids=["16 bits", "8 bits"])
def test_where_zero_is_white_it_is_shown_white(tmp_path: Path, values: np.ndarray) -> None:
    seen = read(tmp_path / "w.tif", values, photometric="miniswhite")[..., 0]
    np.testing.assert_allclose(seen, 255 - values * (255 / np.iinfo(values.dtype).max), atol=1e-3)

"""Preprocessing: geometry that can be followed back, exact replay, exact settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anomalens.errors import ImageError, SettingError
from anomalens.images import (
    Affine,
    ApplyMask,
    Grey,
    ImageSet,
    Picture,
    Preprocessing,
    RemoveBackground,
    Resize,
    Standardise,
    decode,
)

MODES = ("stretch", "pad", "crop")


def picture(pixels: np.ndarray, size: tuple[int, int] | None = None) -> Picture:
    return Picture(pixels, size or (pixels.shape[1], pixels.shape[0]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@settings(max_examples=25, deadline=None)
@given(
    original=st.tuples(st.integers(120, 400), st.integers(120, 400)),
    target=st.tuples(st.integers(64, 200), st.integers(64, 200)),
    reduce=st.sampled_from([1, 2]),
)
def test_a_painted_box_is_found_where_it_is_mapped(
    mode: str, dtype: type, original: tuple[int, int], target: tuple[int, int], reduce: int
) -> None:
    width, height = original
    # In the middle, so that it survives every crop.
    box = (width // 2 - 10, height // 2 - 14, width // 2 + 12, height // 2 + 8)
    pixels = np.zeros((height, width, 3), dtype)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    seen = pixels[::reduce, ::reduce]
    steps = Preprocessing((Resize(width=target[0], height=target[1], mode=mode, fill=(0, 0, 0)),))
    prepared = steps.apply(picture(seen, original))
    assert prepared.pixels.dtype == dtype
    assert prepared.pixels.shape == (target[1], target[0], 3)
    assert steps.output_size == target
    ys, xs = np.nonzero(prepared.pixels[..., 0] > 127)
    # A box thinner than a prepared pixel may stay below half brightness.
    scale = max(prepared.to_original.ax, prepared.to_original.ay)
    if not len(xs):
        assert scale > 15
        return
    found = prepared.to_original.box((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    assert np.abs(np.array(found) - box).max() <= scale + 2 * reduce
    there = prepared.to_original.inverse().box(found)
    assert np.allclose(there, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))


@pytest.mark.parametrize("mode", MODES)
def test_visible_is_where_the_image_is(mode: str) -> None:
    wide = np.full((50, 200, 3), 200, np.uint8)
    steps = Preprocessing((Resize(width=64, height=64, mode=mode, fill=(7, 7, 7)),))
    prepared = steps.apply(picture(wide))
    x0, y0, x1, y1 = prepared.visible
    assert (x0, y0, x1, y1) == ((0, 24, 64, 40) if mode == "pad" else (0, 0, 64, 64))
    shown = np.zeros((64, 64), bool)
    shown[y0:y1, x0:x1] = True
    assert (prepared.pixels[shown] == 200).all()
    assert (prepared.pixels[~shown] == 7).all()


def test_padding_takes_the_border_colour() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:] = (10, 20, 30)
    image[5:15, 5:35] = 255
    prepared = Preprocessing((Resize(width=40, height=40, mode="pad"),)).apply(picture(image))
    assert prepared.pixels[0, 0].tolist() == [10, 20, 30]
    assert prepared.pixels[-1, -1].tolist() == [10, 20, 30]


@given(st.integers(2, 5000), st.integers(2, 5000), st.sampled_from(MODES))
@settings(max_examples=60, deadline=None)
def test_extreme_aspects_are_prepared(width: int, height: int, mode: str) -> None:
    pixels = np.zeros((2, max(2, min(64, width)), 3), np.uint8)
    steps = Preprocessing((Resize(width=32, height=24, mode=mode),))
    prepared = steps.apply(picture(pixels, (width, height)))
    x0, y0, x1, y1 = prepared.visible
    assert 0 <= x0 < x1 <= 32
    assert 0 <= y0 < y1 <= 24


def test_sixteen_and_eight_bits_agree(real_set: Callable[[str], Path]) -> None:
    path = next((real_set("brick_cracks") / "train/good").glob("*.jpg"))
    eight = decode(path).pixels
    steps = Preprocessing.parse("pad,grey,standardise", width=100, height=60)
    as_floats = steps.apply(picture(eight.astype(np.float32))).pixels
    difference = np.abs(as_floats - steps.apply(picture(eight)).pixels)
    assert difference.max() < 4
    assert difference.mean() < 1


def test_replay_is_bit_identical_after_json(tmp_path: Path, real_set: Callable[[str], Path]) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(np.pad(np.full((4, 6), 255, np.uint8), 2)).save(mask)
    text = f"crop,grey,standardise,background=#101010:8,mask={mask}"
    steps = Preprocessing.parse(text, width=96, height=64)
    mask.unlink()
    again = Preprocessing.from_json(json.loads(json.dumps(steps.to_json())))
    assert again == steps
    images = ImageSet.open(real_set("shelf_detergent") / "reference")
    assert steps.reduce_to == 192
    first = steps.apply(images.read(0, reduce_to=steps.reduce_to))
    second = again.apply(images.read(0, reduce_to=again.reduce_to))
    assert np.array_equal(first.pixels, second.pixels)
    assert first.to_original == second.to_original
    assert first.original_size == (1280, 960)


def test_grey_is_luma() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]] * 4, np.uint8)
    steps = Preprocessing((Resize(width=4, height=4), Grey()))
    for pixels in (colours, colours.astype(np.float32)):
        grey = steps.apply(picture(pixels)).pixels[0]
        assert np.abs(grey[:, 0] - [76.2, 149.7, 29.1, 9]).max() < 0.5
        assert (grey == grey[:, :1]).all()


@given(st.floats(0.3, 1.0), st.integers(0, 60))
def test_standardise_removes_exposure(gain: float, offset: int) -> None:
    scene = np.random.default_rng(1).integers(0, 150, (16, 16, 3)).astype(np.float32)
    steps = Preprocessing((Resize(width=16, height=16), Standardise(mean=100, sd=30)))
    plain = steps.apply(picture(scene)).pixels
    assert abs(plain.mean() - 100) < 0.1
    assert abs(plain.std() - 30) < 0.1
    assert np.allclose(steps.apply(picture(scene * np.float32(gain) + offset)).pixels, plain, atol=0.1)


def test_standardise_of_constant_and_padded_images() -> None:
    flat = np.full((16, 16, 3), 40, np.uint8)
    steps = Preprocessing((Resize(width=16, height=16), Standardise()))
    assert (steps.apply(picture(flat)).pixels == 128).all()
    noise = np.random.default_rng(0).integers(0, 255, (8, 16, 3), dtype=np.uint8)
    padded = Preprocessing((Resize(width=16, height=16, mode="pad", fill=(0, 0, 0)), Standardise()))
    prepared = padded.apply(picture(noise))
    assert abs(prepared.pixels[4:12].mean() - 128) < 1


def test_background_is_filled() -> None:
    image = np.full((8, 8, 3), (10, 200, 10), np.uint8)
    image[2:5, 2:5] = (200, 10, 10)
    image[0, 0] = (18, 192, 2)
    image[7, 7] = (23, 200, 10)
    steps = Preprocessing.parse("background=#0AC80a", width=8, height=8)
    pixels = steps.apply(picture(image)).pixels
    assert pixels[0, 0].tolist() == pixels[0, 1].tolist() == [127, 127, 127]
    assert pixels[3, 3].tolist() == [200, 10, 10]
    assert pixels[7, 7].tolist() == [23, 200, 10]


@pytest.mark.parametrize("mode", MODES)
def test_a_mask_follows_the_image(mode: str) -> None:
    keep = np.zeros((10, 20), bool)
    keep[:, 8:] = True
    steps = Preprocessing((Resize(width=40, height=40, mode=mode), ApplyMask.from_array(keep)))
    image = np.full((100, 200, 3), 255, np.uint8)
    prepared = steps.apply(picture(image))
    for x in (1, 10, 18, 22, 30, 39):
        for y in (1, 12, 20, 28, 39):
            ox, oy = prepared.to_original.point(x + 0.5, y + 0.5)
            inside = 80 <= ox < 200 and 0 <= oy < 100
            assert prepared.pixels[y, x, 0] == (255 if inside else 127)


def test_steps_of_the_command_line(tmp_path: Path) -> None:
    parsed = Preprocessing.parse(" grey , pad,background=#ff0000", width=8, height=9)
    assert parsed.steps == (
        Resize(width=8, height=9, mode="pad"), Grey(), RemoveBackground(colour=(255, 0, 0)),
    )  # fmt: skip
    assert Preprocessing.parse("", width=8, height=9).steps == (Resize(width=8, height=9),)
    for text, said in (
        ("gray", "did you mean 'grey'"), ("pad,crop", "two ways to resize"),
        ("pad=3", "takes no value"),
        ("background", "is no colour"), ("background=red", "is no colour"),
        ("mask", "needs a file"),
        ("background=#000000:300", "from 0 to 255"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=said):
            Preprocessing.parse(text, width=8, height=8)
    with pytest.raises(ImageError, match="no such file"):
        Preprocessing.parse(f"mask={tmp_path / 'none.png'}", width=8, height=8)
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(SettingError, match="at least one kept pixel"):
        Preprocessing.parse(f"mask={tmp_path / 'black.png'}", width=8, height=8)


RESIZE = Resize(width=8, height=8).to_json()


@pytest.mark.parametrize(
    "data",
    [
        None, [], {}, {"steps": 1}, {"steps": []}, {"steps": [RESIZE, RESIZE]}, {"steps": ["grey"]},
        {"steps": [RESIZE], "more": 1}, {"steps": [{"kind": "grey"}]}, {"steps": [{"kind": ["x"]}]},
        {"steps": [{**RESIZE, "width": 8.0}]}, {"steps": [{**RESIZE, "width": True}]},
        {"steps": [{**RESIZE, "width": 0}]}, {"steps": [{**RESIZE, "height": 10**6}]},
        {"steps": [{**RESIZE, "mode": "fold"}]}, {"steps": [{**RESIZE, "fill": [1, 2]}]},
        {"steps": [{**RESIZE, "fill": [1, 2, 256]}]}, {"steps": [{**RESIZE, "fill": [1, 2, "3"]}]},
        {"steps": [{**RESIZE, "extra": 1}]}, {"steps": [{"kind": "resize"}]},
        {"steps": [RESIZE, {"kind": "standardise", "mean": "1", "sd": 1}]},
        {"steps": [RESIZE, {"kind": "standardise", "mean": 1, "sd": 0}]},
        {"steps": [RESIZE, {"kind": "standardise", "mean": float("nan"), "sd": 1}]},
        {"steps": [RESIZE, {"kind": "mask", "width": 8, "height": 8, "packed": "é", "fill": 1}]},
        {"steps": [RESIZE, {"kind": "mask", "width": 8, "height": 8, "packed": "AA==", "fill": 1}]},
        {"steps": [RESIZE, {"kind": "mask", "width": 8, "height": 8, "packed": 3, "fill": 1}]},
    ],
)  # fmt: skip
def test_damaged_settings_are_refused(data: object) -> None:
    with pytest.raises(SettingError):
        Preprocessing.from_json(data)


def test_steps_of_a_newer_version_are_named() -> None:
    with pytest.raises(SettingError, match="'undistort' is unknown here; it was made by a newer"):
        Preprocessing.from_json({"steps": [RESIZE, {"kind": "undistort", "k1": 0.1}]})


def test_affine_refuses_what_cannot_be_inverted() -> None:
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(SettingError):
            Affine(scale, 1, 0, 0)

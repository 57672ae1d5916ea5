"""Overlays: what is odd lights up where it is, in every geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomalens.calibration import Calibration, Region
from anomalens.images import Picture, Preprocessing
from anomalens.inspector import Finding
from anomalens.reports import ColourScale, render_overlay
from anomalens.reports.parts.colours import TABLE

SCALE = ColourScale(0.1, 1.0)
GREY = 90


def finding_for(mode: str, width: int, height: int, square: tuple[int, int, int, int]) -> Finding:
    """A finding whose map is 1 exactly where a square is painted in the prepared image."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    x0, y0, x1, y1 = square
    pixels[y0:y1, x0:x1] = 255
    prepared = Preprocessing.parse(mode, width=128, height=128).apply(Picture(pixels, (width, height)))
    values = (prepared.pixels[..., 0] > 200).astype(np.float32)
    return Finding(
        image="a.png",
        map=values,
        map_to_original=prepared.to_original,
        original_size=(width, height),
    )


@pytest.mark.parametrize("mode", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(600, 300), (300, 600), (2400, 1200), (64, 64)])
def test_a_painted_square_lights_up_where_it_is(mode, size) -> None:
    width, height = size
    square = (width * 9 // 20, height * 9 // 20, width * 12 // 20, height * 12 // 20)
    finding = finding_for(mode, width, height, square)
    plain = np.full((height, width, 3), GREY, np.uint8)
    shown = render_overlay(plain, finding, SCALE)
    assert max(shown.size) <= 1024
    assert shown.width / shown.height == pytest.approx(width / height, rel=0.01)
    coloured = np.ptp(np.asarray(shown).astype(int), axis=2) > 12
    ys, xs = np.nonzero(coloured)
    scale = shown.width / width
    found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / scale
    slack = 2.5 * max(width, height) / 128  # a map pixel is several original pixels wide
    np.testing.assert_allclose(found, square, atol=slack)


def test_cropped_parts_are_veiled_and_padding_is_not_shown() -> None:
    square = (290, 140, 310, 160)
    plain = np.full((300, 600, 3), GREY, np.uint8)
    crop = np.asarray(render_overlay(plain, finding_for("crop", 600, 300, square), SCALE))
    assert (crop[:, :140] != GREY).all() and (crop[:, 170:250] == GREY).all()
    pad = np.asarray(render_overlay(plain, finding_for("pad", 600, 300, square), SCALE))
    assert (pad[:, :250] == GREY).all()


def test_boxes_are_outlined_in_a_reduced_picture() -> None:
    region = Region((1000, 500, 1500, 900), 1, 1.0)
    finding = Finding(image="a.jpg", regions=(region,), original_size=(2000, 1000))
    reduced = np.full((250, 500, 3), GREY, np.uint8)
    shown = np.asarray(render_overlay(reduced, finding, None))
    assert shown.shape == (512, 1024, 3)
    ys, xs = np.nonzero((shown != GREY).any(axis=2))
    expected = np.array([1000, 500, 1500, 900]) * 1024 / 2000
    np.testing.assert_allclose([xs.min(), ys.min(), xs.max(), ys.max()], expected, atol=16)
    assert (shown[330:400, 580:700] == GREY).all()


def test_quiet_maps_change_nothing_and_nan_is_loud() -> None:
    plain = np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    finding = finding_for("stretch", 600, 600, (0, 0, 0, 0))
    quiet = replace(finding, map=np.full((128, 128), 0.1, np.float32))
    np.testing.assert_array_equal(np.asarray(render_overlay(plain, quiet, SCALE)), plain)
    values = np.full((128, 128), np.nan, np.float32)
    loud = np.asarray(render_overlay(plain, replace(finding, map=values), SCALE))
    assert (loud.astype(int) - plain).max() > 50


def test_deep_pixels_are_shown() -> None:
    finding = Finding(image="a.tif", original_size=(600, 600))
    pixels = np.full((600, 600, 3), 99.6, np.float32)
    assert (np.asarray(render_overlay(pixels, finding, None)) == 100).all()


def test_lightness_of_the_colours_rises_evenly() -> None:
    srgb = TABLE[1:] / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert TABLE.shape == (256, 3) and TABLE.dtype == np.uint8
    steps = lightness[16:] - lightness[:-16]
    assert steps.min() > 0.4 * steps.mean() and steps.max() < 1.8 * steps.mean()


@pytest.mark.parametrize("offset", [0.0, -100.0])
def test_scale_is_calm_on_normal_images(offset) -> None:
    maxima = np.linspace(10, 12, 99) + offset
    calibration = Calibration.from_scores(maxima, maxima)
    scale = ColourScale.of(calibration)
    threshold = calibration.region_threshold
    assert scale is not None and threshold is not None
    assert scale.low == pytest.approx(np.median(maxima))
    assert scale.low < threshold < scale.high
    assert ColourScale.of(Calibration.from_scores(maxima)) is None


def test_scale_of_equal_scores_is_usable() -> None:
    same = np.full(20, 3.0)
    scale = ColourScale.of(Calibration.from_scores(same, same))
    assert scale is not None and scale.high > scale.low

"""Augmentation: reproducible per image, no invented borders, exact settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalens.errors import SettingError
from anomalens.images import Augmentation, decode

ALL = Augmentation(flip="both", rotate=180, shear=45, scale=0.5, crop=0.5, brightness=0.3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 60), st.booleans())
def test_no_black_corners(seed: int, height: int, width: int, deep: bool) -> None:
    pixels = np.full((height, width, 3), 200, np.float32 if deep else np.uint8)
    moved = Augmentation(flip="both", rotate=180, shear=45, scale=0.5, crop=0.5)
    copy = moved.apply(pixels, np.random.default_rng(seed))
    assert copy.shape == pixels.shape
    assert copy.dtype == pixels.dtype
    assert np.allclose(copy, 200, atol=0.01)


def test_copies_depend_on_seed_image_and_copy_alone(real_set: Callable[[str], Path]) -> None:
    folder = real_set("brick_cracks") / "train/good"
    pixels = decode(min(folder.glob("*.jpg"))).pixels
    three = ALL.copies(pixels, image_index=5, n=3, seed=1)
    assert np.array_equal(three[0], ALL.copies(pixels, image_index=5, n=1, seed=1)[0])
    others = ALL.copies(pixels, image_index=6, n=1, seed=1) + ALL.copies(pixels, image_index=5, n=1, seed=2)
    assert all(not np.array_equal(three[0], other) for other in (*three[1:], *others))
    assert all(copy.std() > 5 for copy in three)


def test_each_change_does_what_it_says() -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (20, 30, 3), dtype=np.uint8)
    seen = {Augmentation(flip="both").apply(pixels, np.random.default_rng(i)).tobytes() for i in range(40)}
    flips = (pixels, pixels[:, ::-1], pixels[::-1], pixels[::-1, ::-1])
    assert seen == {np.ascontiguousarray(flip).tobytes() for flip in flips}
    assert np.array_equal(Augmentation().apply(pixels, np.random.default_rng(0)), pixels)
    bright = [
        Augmentation(brightness=0.2).apply(pixels, np.random.default_rng(i)).mean() / pixels.mean()
        for i in range(40)
    ]
    assert 0.79 < min(bright) < 0.9 < 1.1 < max(bright) < 1.21


def test_rotation_turns_about_the_centre() -> None:
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[18:23, 18:23] = 255
    for seed in range(5):
        copy = Augmentation(rotate=180).apply(pixels, np.random.default_rng(seed))
        ys, xs = np.nonzero(copy[..., 0] > 127)
        assert abs(ys.mean() - 20) < 0.6
        assert abs(xs.mean() - 20) < 0.6


def test_settings_round_trip() -> None:
    parsed = Augmentation.parse("flip, rotate=15,brightness=0.2,crop")
    assert parsed == Augmentation(flip="horizontal", rotate=15, brightness=0.2, crop=0.1)
    assert Augmentation.parse("") == Augmentation()
    assert Augmentation.parse("flip=both").flip == "both"
    for one in (parsed, ALL):
        assert Augmentation.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rotat=3", "did you mean 'rotate'"), ("flip=sideways", "no flip named"),
        ("rotate=many", "needs a number"), ("rotate=181", "out of range"),
        ("crop=-0.1", "out of range"),
        ("scale=nan", "out of range"), ("flip,flip", "given twice"),
    ],
)  # fmt: skip
def test_words_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Augmentation.parse(text)


@pytest.mark.parametrize("change", [{"rotate": "1"}, {"flip": 1}, {"more": 1}, {"kind": "x"}])
def test_damaged_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Augmentation.from_json({**ALL.to_json(), **change})

"""Sizes as people write them, and those that images have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens import AnomalensWarning, ImageSet, Inspector, Preprocessing
from anomalens.errors import SettingError
from anomalens.images.sizes import lost_by_shrinking, prepared_size, read_size, usual_size


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (256, (256, 256)), ("256", (256, 256)), ("4000x3000", (4000, 3000)), ("4000 X 3000", (4000, 3000)),
        ("640×480", (640, 480)), ((640, 480), (640, 480)), ("native", None),
    ],
)  # fmt: skip
def test_a_size_is_a_side_or_two_or_native(given: object, found: object) -> None:
    assert read_size(given) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("big", "give a side in pixels"), ("10x20x30", "give a side in pixels"), ((1, 2, 3), "give a side"),
        (True, "give a side"), (256.0, "give a side"), (-5, "give a side"), ("15", "16 to 8192 pixels"),
        ("100x9000", "16 to 8192 pixels"), ("0x50", "16 to 8192 pixels"),
    ],
)  # fmt: skip
def test_what_is_no_size_is_said_in_one_sentence(given: object, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read_size(given)  # type: ignore[arg-type]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(5):
        width, height = (333, 211) if number != 1 else (200, 100)
        pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    return tmp_path


def test_native_is_the_size_of_most_images(pictures: Path) -> None:
    images = ImageSet.open(pictures)
    assert usual_size(images) == (333, 211)
    assert prepared_size("native", images) == (333, 211)
    assert prepared_size("native", images, multiple=32) == (320, 224)
    assert prepared_size("64x48", images, multiple=32) == (64, 64)


def test_at_native_size_a_jpeg_is_neither_reduced_nor_resampled(pictures: Path) -> None:
    images = ImageSet.open(pictures)
    preparing = Preprocessing.parse("stretch", width=333, height=211)
    picture = images.read(0, reduce_to=preparing.reduce_to)
    np.testing.assert_array_equal(preparing.apply(picture).pixels, images.read(0).pixels)


def test_images_that_cannot_be_read_leave_the_error_to_whoever_reads_them_all(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    images = ImageSet.open(tmp_path)
    assert usual_size(images) is None and prepared_size("native", images) == (256, 256)
    assert lost_by_shrinking(images, (64, 64), tiles=True) is None
    assert usual_size(images.subset([])) is None


def test_images_made_much_smaller_bring_advice_that_the_detector_can_follow(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        small = rng.integers(0, 255, (32, 40), np.uint8)
        Image.fromarray(small).resize((1700, 1300)).save(tmp_path / f"{number}.png")
    images = ImageSet.open(tmp_path)
    assert lost_by_shrinking(images, (512, 512), tiles=True) is None
    assert str(lost_by_shrinking(images, (64, 64), tiles=True)).endswith("--tile 256 keeps them.")
    # gaussian gives no maps: advice to cut tiles would only lead to the next error
    options = {"detector": "gaussian", "parameters": {"features": "pixels"}, "size": 64}
    with pytest.warns(AnomalensWarning) as caught:
        inspector = Inspector.fit(images, **options)
    said = [str(item.message) for item in caught if "a larger --size" in str(item.message)]
    assert len(said) == 1 and "1700 x 1300 pixels are made 64 x 64" in said[0]
    assert said[0] in inspector.card["notes"]

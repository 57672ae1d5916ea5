"""At which size images are prepared where nobody chose."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens.detectors.spec import DetectorSpec
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.preparation import preparation, suited_size

TINY = ImageSet.open(np.zeros((1, 28, 28), np.uint8))
SMALL = ImageSet.open(np.zeros((1, 50, 40), np.uint8))
LARGE = ImageSet.open(np.zeros((1, 200, 120), np.uint8))


@pytest.mark.parametrize(
    ("detector", "expected"),
    [
        ("patchcore", ((128, 128), (96, 128), (192, 320))),
        ("knn", ((128, 128), (96, 128), (192, 320))),
        ("combine:patchcore,knn", ((128, 128), (96, 128), (192, 320))),
        ("cae", ((32, 32), (64, 64), (128, 128))),
        ("combine:cae,vae", ((32, 32), (64, 64), (128, 128))),
        ("fastflow", ((128, 128), (96, 128), (192, 320))),  # its backbone is pretrained
    ],
)
def test_the_usual_size_suits_the_images_and_the_detector(
    detector: str, expected: tuple[tuple[int, int], ...]
) -> None:
    found = DetectorSpec.parse(detector).make()
    assert tuple(suited_size(found, images) for images in (TINY, SMALL, LARGE)) == expected


@pytest.mark.parametrize(
    ("shape", "fast", "balanced", "best"),
    [
        ((1240, 500), (160, 416), (224, 576), (416, 1024)),  # high and narrow
        ((256, 256), (256, 256), (256, 256), (256, 256)),  # no more pixels than there are
        ((100, 130), (288, 224), (288, 224), (288, 224)),  # small images are enlarged as before
        ((1000, 1000), (256, 256), (384, 384), (640, 640)),
        ((16, 3000), (2144, 32), (2144, 32), (2144, 32)),
    ],
)
def test_a_quality_is_a_number_of_pixels_in_the_images_shape(
    shape: tuple[int, int], fast: tuple[int, int], balanced: tuple[int, int], best: tuple[int, int]
) -> None:
    images, detector = ImageSet.open(np.zeros((1, *shape), np.uint8)), DetectorSpec.parse("auto").make()
    found = [suited_size(detector, images, quality) for quality in ("fast", "balanced", "best")]
    assert found == [fast, balanced, best]
    assert suited_size(detector, images) == balanced
    whole_image = DetectorSpec.parse("gaussian").make()
    assert suited_size(whole_image, images) == fast


def test_the_shape_is_that_of_the_middle_image() -> None:
    shapes = [(200, 300), (200, 300), (210, 310), (900, 100), (100, 900)]
    images = ImageSet.open([np.zeros(shape, np.uint8) for shape in shapes])
    assert suited_size(DetectorSpec.parse("auto").make(), images, "fast") == (288, 192)


def test_a_size_is_rounded_to_what_the_network_takes_and_that_is_said() -> None:
    with pytest.warns(AnomalensWarning, match="at 352 x 256 pixels instead of 341 x 256: .* multiples of 32"):
        found = preparation("stretch", LARGE, size="341x256", detector=DetectorSpec.parse("auto").make())
    assert found.output_size == (352, 256)
    with pytest.warns(AnomalensWarning, match="48 x 64 pixels instead of 50 x 60: cae takes multiples of 16"):
        preparation("stretch", LARGE, size="50x60", detector=DetectorSpec.parse("cae").make())
    pixels = DetectorSpec.parse("gaussian").make({"features": "pixels"})
    assert preparation("stretch", LARGE, size="50x60", detector=pixels).output_size == (50, 60)


def test_a_quality_beside_a_size_or_tiles_and_an_unknown_one_are_refused() -> None:
    auto, tiled = DetectorSpec.parse("auto").make(), DetectorSpec.parse("tiled:auto").make()
    with pytest.raises(SettingError, match="quality best was given beside a size"):
        preparation("stretch", LARGE, size=256, quality="best", detector=auto)
    with pytest.raises(SettingError, match="beside tiles, whose images keep their size"):
        preparation("stretch", LARGE, size=None, quality="best", detector=tiled)
    with pytest.raises(SettingError, match="balanced"):
        preparation("stretch", LARGE, size=None, quality="balancd", detector=auto)


def test_a_size_that_was_asked_for_counts_and_tiles_take_the_native_one() -> None:
    asked = preparation("stretch", TINY, size=96, detector=DetectorSpec.parse("patchcore").make())
    assert asked.output_size == (96, 96)
    tiled = preparation("stretch", LARGE, size=None, detector=DetectorSpec.parse("tiled:auto").make())
    assert tiled.output_size == (120, 200)


def test_no_way_to_ask_leads_past_the_limit_of_one_pass() -> None:
    whole = Preprocessing.parse("stretch", width=4096, height=4096)
    for asked, size in (("stretch", 4096), (whole, None)):
        with pytest.raises(SettingError, match="too large for one pass of patchcore; cut them into tiles"):
            preparation(asked, LARGE, size=size, detector=DetectorSpec.parse("patchcore").make())

"""At which size images are prepared where nobody chose."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens.detectors.spec import DetectorSpec
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.preparation import preparation, usual_side

TINY = ImageSet.open(np.zeros((1, 28, 28), np.uint8))
SMALL = ImageSet.open(np.zeros((1, 50, 40), np.uint8))
LARGE = ImageSet.open(np.zeros((1, 200, 120), np.uint8))


@pytest.mark.parametrize(
    ("detector", "expected"),
    [
        ("patchcore", (128, 128, 256)),
        ("knn", (128, 128, 256)),
        ("combine:patchcore,knn", (128, 128, 256)),
        ("cae", (32, 64, 128)),
        ("combine:cae,vae", (32, 64, 128)),
        ("fastflow", (128, 128, 256)),  # its backbone is pretrained
    ],
)
def test_the_usual_side_suits_the_images_and_the_detector(
    detector: str, expected: tuple[int, int, int]
) -> None:
    found = DetectorSpec.parse(detector).make()
    assert tuple(usual_side(found, images) for images in (TINY, SMALL, LARGE)) == expected


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

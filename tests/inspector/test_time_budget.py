"""The size from the milliseconds that a check may take."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens import ImageSet, Inspector
from anomalens.errors import SettingError
from anomalens.inspector.time_budget import milliseconds


@pytest.fixture(scope="module")
def surfaces() -> ImageSet:
    rng = np.random.default_rng(0)
    return ImageSet.from_arrays([rng.integers(90, 160, (288, 576), np.uint8) for _ in range(20)])


def test_much_time_is_used_and_little_time_is_kept_to(surfaces: ImageSet) -> None:
    much = Inspector.fit(surfaces, detector="padim", ms=60_000, threads=1)
    assert much.size == (288, 576)  # all the pixels that there are, and no more
    assert "At 576 x 288 pixels a check of an image took" in much.card["notes"][-1]
    with pytest.warns(UserWarning, match="1 ms are allowed"):  # no network is that fast
        little = Inspector.fit(surfaces, detector="padim", ms=1, threads=1)
    height, width = little.size
    assert height * width < much.size[0] * much.size[1] / 4
    assert milliseconds(little, surfaces) < milliseconds(much, surfaces)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 64}, "beside a size"),
        ({"quality": "fast"}, "beside a quality"),
        ({"tile": 64}, "beside tiles"),
        ({"detector": "cae"}, "one size"),
    ],
)
def test_what_says_the_size_already_is_refused(
    surfaces: ImageSet, given: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        Inspector.fit(surfaces, ms=20, **given)  # type: ignore[arg-type]

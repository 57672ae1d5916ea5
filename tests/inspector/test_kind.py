"""Pictures, and batches of them, that are not of the kind that a model learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anomalens import Inspector
from anomalens.inspector.another_batch import Batch


def surface(seed: int, *, mean: float = 120.0, sd: float = 12.0, side: int = 64) -> np.ndarray:
    values = np.random.default_rng(seed).normal(mean, sd, (side, side))
    return np.clip(values, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def grey() -> Inspector:
    """Knows small grey surfaces."""
    normal = [surface(i, mean=120 + i % 7) for i in range(60)]
    return Inspector.fit(normal, detector="gaussian", parameters={"features": "texture"}, size=64)


def notes(inspector: Inspector, picture: np.ndarray) -> str:
    return " ".join(inspector.answer(picture).notes)


def test_a_picture_of_the_kind_that_was_learnt_has_no_note(grey: Inspector) -> None:
    assert [notes(grey, surface(100 + i)) for i in range(20)] == [""] * 20


def test_what_differs_is_named_with_its_figure(grey: Inspector) -> None:
    waves = 110 + 20 * np.sin(np.add.outer(np.arange(640), np.arange(480)) / 6)[..., None]
    large = (waves + np.array((40, 0, -40))).astype(np.uint8)
    said = notes(grey, large)
    assert said.startswith("Not the kind of picture that this model learnt from: ")
    assert "its sides are 8.7 times as long" in said and "it is coloured and they were grey" in said
    assert "its brightness is 239 and theirs 119 to 126" in notes(grey, surface(1, mean=240, sd=5))
    assert "its neighbours differ by " in notes(grey, surface(1, sd=2.5))
    assert said in str(grey.answer(large).explanation)


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_a_blank_picture_is_called_blank(grey: Inspector, tone: int) -> None:
    assert notes(grey, np.full((64, 64), tone, np.uint8)).startswith("The picture is blank")


def test_where_blank_pictures_are_normal_they_are_not_remarked(tmp_path: Path) -> None:
    normal = [np.full((64, 64), 100 + i, np.uint8) for i in range(30)]
    inspector = Inspector.fit(normal, detector="gaussian", parameters={"features": "pixels"}, size=64)
    assert inspector.answer(normal[3]).notes == ()


def said_of(inspector: Inspector, pictures: list[np.ndarray]) -> str | None:
    batch = Batch(inspector.kind)
    for finding in inspector.check(pictures):
        batch.add(finding)
    return batch.sentence


def test_a_batch_of_another_day_is_told_and_a_batch_with_defects_is_not(grey: Inspector) -> None:
    good = [surface(200 + i, mean=120 + i % 7) for i in range(40)]
    defective = [picture.copy() for picture in good[:20]]
    for picture in defective:
        picture[20:40, 20:40] = 0
    assert said_of(grey, good) is None
    assert said_of(grey, [*defective, *good[20:]]) is None
    said = said_of(grey, [surface(300 + i, mean=112, sd=12.6) for i in range(40)])
    assert said is not None and "brightness 112 where 119 to 126 was learnt" in said
    assert "anomalens calibrate FILE NEW_NORMALS --add" in said
    assert said_of(grey, good[:5]) is None  # too few to say


def test_after_calibrating_on_the_new_day_it_is_no_other_day(grey: Inspector) -> None:
    new = [surface(400 + i, mean=112, sd=12.6) for i in range(60)]
    mended = grey.calibrate("false-alarm-rate=0.05", new[:30], add=True)
    assert said_of(mended, new[30:]) is None


def test_files_of_earlier_versions_say_nothing(tmp_path: Path) -> None:
    stored = Path(__file__).parents[1] / "stored" / "v1" / "gaussian.anomalens"
    inspector = Inspector.load(stored)
    assert inspector.kind is None
    assert inspector.answer(surface(0)).notes == ()

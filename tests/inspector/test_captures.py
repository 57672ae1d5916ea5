"""Days, shifts and cameras: calibrating on those not learnt from, and p-values of a class by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens import ImageSet, Inspector, Policy
from anomalens.errors import AnomalensWarning, SettingError

TEXTURE: dict[str, Any] = {"detector": "gaussian", "parameters": {"features": "texture"}, "size": 64}


def surfaces(count: int, seed: int, *, gain: float = 1.0, noise: float = 6) -> list[np.ndarray]:
    """uint8 [64, 64] surfaces under a lamp."""
    rng = np.random.default_rng(seed)
    coarse = [np.kron(rng.normal(128, 20, (16, 16)), np.ones((4, 4))) for _ in range(count)]
    lit = [gain * (values + rng.normal(0, noise, (64, 64))) for values in coarse]
    return [np.clip(values, 0, 255).astype(np.uint8) for values in lit]


def days(gains: list[float], each: int = 12) -> list[np.ndarray]:
    return [image for i, gain in enumerate(gains) for image in surfaces(each, 10 + i, gain=gain)]


def captured(images: list[np.ndarray], names: list[str | None]) -> ImageSet:
    opened = ImageSet.from_arrays(images)
    pairs = zip(opened, names, strict=True)
    return replace(opened, entries=tuple(replace(entry, capture=name) for entry, name in pairs))


def flagged(inspector: Inspector, images: list[np.ndarray]) -> float:
    return float(np.mean([finding.anomalous for finding in inspector.check(images)]))


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_another_day_keeps_the_rate_where_days_are_known() -> None:
    gains = [0.8, 0.95, 1.1, 1.2]
    seen = days(gains)
    said = [f"day {i // 12}" for i in range(len(seen))]
    other_day = surfaces(40, 99, gain=0.7)
    unsaid = Inspector.fit(captured(seen, [None] * len(seen)), **TEXTURE)
    known = Inspector.fit(captured(seen, list(said)), **TEXTURE)
    assert flagged(known, other_day) <= 0.15
    assert flagged(unsaid, other_day) >= 0.5
    assert known.card["data"]["n_captures"] == 4
    assert known.calibration.n_groups == len(seen)  # surfaces are independent, days are not many


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_groups_that_reach_into_every_day_cannot_be_left_out_with_one() -> None:
    twins = captured(days([0.9, 1.1]), ["a"] * 12 + ["b"] * 12)
    tied = replace(twins, entries=tuple(replace(e, group=str(i % 12)) for i, e in enumerate(twins)))
    with pytest.warns(AnomalensWarning, match="reach into several captures"):
        Inspector.fit(tied, groups="declared", **TEXTURE)


def test_one_capture_alone_is_said() -> None:
    with pytest.warns(AnomalensWarning, match=r"of one capture \(monday\)"):
        Inspector.fit(captured(days([1.0], 20), ["monday"] * 20), **TEXTURE)


def test_images_without_a_capture_among_others_are_said() -> None:
    names = ["monday"] * 10 + [None] * 4 + ["tuesday"] * 10
    with pytest.warns(AnomalensWarning, match="4 of 24 images name no capture"):
        Inspector.fit(captured(days([1.0, 1.1]), list(names)), **TEXTURE)


@pytest.mark.parametrize(("option", "named"), [("captures", "folders"), ("p_values", "pooled")])
def test_another_word_is_refused(option: str, named: str) -> None:
    with pytest.raises(SettingError, match=named):
        Inspector.fit(days([1.0]), **TEXTURE, **{option: "none"})


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_real_places_that_nobody_saw(real_set: Callable[[str], Path]) -> None:
    """Places of the spindle: 7 learnt from, 8 others asked about."""
    folder = real_set("ball_screw_pitting")
    train = ImageSet.open(folder / "train" / "good")
    places = replace(train, entries=tuple(replace(e, capture="-".join(e.id.split("_")[2:4])) for e in train))
    inspector = Inspector.fit(places, detector="gaussian", size=(320, 128))
    assert np.mean([f.anomalous for f in inspector.check(folder / "test" / "good")]) <= 0.12
    assert np.mean([f.anomalous for f in inspector.check(folder / "test" / "pitting")]) >= 0.6


def seen_by(spread: float, count: int, seed: int) -> list[np.ndarray]:
    """Surfaces whose brightness and contrast a camera spreads by so much."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        values = rng.normal(rng.normal(128, spread), rng.uniform(20 - spread, 20 + spread), (16, 16))
        noisy = np.kron(values, np.ones((4, 4))) + rng.normal(0, 6, (64, 64))
        images.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return images


@pytest.fixture(scope="module")
def cameras() -> ImageSet:
    """A steady camera, and one whose pictures differ much and score higher."""
    images = [*seen_by(1, 60, 1), *seen_by(15, 60, 2)]
    return ImageSet.from_arrays(images, classes=["steady"] * 60 + ["loose"] * 60)


def test_each_camera_has_its_own_p_values(cameras: ImageSet, tmp_path: Path) -> None:
    inspector = Inspector.fit(cameras, p_values="class", **TEXTURE)
    assert set(inspector.calibration.by_class) == {"loose", "steady"}
    inspector.save(tmp_path / "m.anomalens")
    loaded = Inspector.load(tmp_path / "m.anomalens")
    picture = seen_by(8, 1, 5)[0]
    steady, loose, unknown = (loaded.answer(picture, class_name=name) for name in ("steady", "loose", "?"))
    assert steady.score == loose.score and steady.p_value is not None and loose.p_value is not None
    assert steady.p_value < loose.p_value
    assert steady.calibration is not None and steady.calibration["class"] == "steady"
    assert unknown.calibration is not None and "class" not in unknown.calibration
    new = seen_by(1, 100, 7)
    rate = np.mean([loaded.answer(image, class_name="steady").anomalous for image in new])
    assert rate <= 0.13  # 5 of 100 asked; the 99.9 % limit
    stricter = loaded.calibrate(Policy.parse("false-alarm-rate=0.2"))
    assert stricter.calibration.by_class["steady"].threshold.expected_rate == pytest.approx(0.2)


def test_too_few_of_a_class_are_judged_with_all(cameras: ImageSet) -> None:
    inspector = Inspector.fit(cameras.subset(range(70)), p_values="class", **TEXTURE)
    assert set(inspector.calibration.by_class) == {"steady"}

"""A threshold that a few known defects choose, and what other defects and normal pictures say of it."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens import ImageSet, Inspector
from anomalens.errors import SettingError
from anomalens.inspector.known_defects import calibrated_with_defects


def picture(seed: int, depth: float = 0.0) -> np.ndarray:
    """A surface, with a dark spot that is seen the better the deeper it is."""
    rng = np.random.default_rng(seed)
    values = rng.normal(128, 12, (64, 64))
    y, x = rng.integers(8, 40, 2)
    values[y : y + 14, x : x + 14] -= depth
    return np.clip(values, 0, 255).astype(np.uint8)


def defects(first: int, count: int, depth: float) -> ImageSet:
    return ImageSet.from_arrays([picture(first + i, depth) for i in range(count)])


@pytest.fixture(scope="module")
def surfaces() -> Inspector:
    normal = [picture(i) for i in range(120)]
    return Inspector.fit(normal, detector="gaussian", parameters={"features": "texture"}, size=64)


def found(inspector: Inspector, images: ImageSet) -> float:
    return float(np.mean([bool(finding.anomalous) for finding in inspector.check(images)]))


def test_plain_defects_need_no_more_false_alarms_than_the_lowest(surfaces: Inspector) -> None:
    chosen, said = calibrated_with_defects(surfaces, defects(1000, 10, 120))
    assert chosen.calibration.policy.value == 1 / 121 and "10 of them are found" in said
    assert said in chosen.card["notes"] and said not in surfaces.card["notes"]
    assert found(chosen, defects(2000, 20, 120)) == 1.0


def test_faint_defects_are_worth_false_alarms_and_the_rate_is_kept(surfaces: Inspector) -> None:
    chosen, _ = calibrated_with_defects(surfaces, defects(1000, 30, 8))
    rate = chosen.calibration.policy.value
    assert rate is not None and 1 / 121 < rate <= 0.2
    others, good = defects(3000, 60, 8), ImageSet.from_arrays([picture(5000 + i) for i in range(200)])
    gain = found(chosen, others) - found(chosen, good)
    assert gain >= found(surfaces, others) - found(surfaces, good) - 0.05
    assert found(chosen, good) <= rate + 2 * (rate * (1 - rate) / 120) ** 0.5 + 0.02


def test_four_defects_and_uncalibrated_models_are_refused(surfaces: Inspector) -> None:
    with pytest.raises(SettingError, match="4 pictures with defects can be read and at least 5"):
        calibrated_with_defects(surfaces, defects(0, 4, 99))
    with pytest.warns(UserWarning):
        few = Inspector.fit([picture(0), picture(1)], detector="gaussian", size=64)
    with pytest.raises(SettingError, match="is uncalibrated"):
        calibrated_with_defects(few, defects(0, 9, 99))

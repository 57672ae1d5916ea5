"""Whether near copies are found and left out together, or only groups that are declared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens import ImageSet, Inspector
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images.named_groups import groups_by_name

TEXTURE = {"detector": "gaussian", "parameters": {"features": "texture"}, "size": 64}


def exposures(groups: list[str] | None = None) -> ImageSet:
    """Twenty surfaces, each photographed twice."""
    shots = []
    for i in range(20):
        rng = np.random.default_rng(i)
        values = np.kron(rng.normal(128, 30, (16, 16)), np.ones((4, 4)))
        shots += [np.clip(values + rng.normal(0, 2, (64, 64)), 0, 255).astype(np.uint8) for _ in range(2)]
    return ImageSet.from_arrays(shots, groups=groups)


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_found_groups_are_left_out_together_and_declared_alone_leaves_each_image_out() -> None:
    assert Inspector.fit(exposures(), **TEXTURE).calibration.n_groups == 20
    assert Inspector.fit(exposures(), groups="declared", **TEXTURE).calibration.n_groups == 40
    by_four = [str(i // 4) for i in range(40)]
    assert Inspector.fit(exposures(by_four), groups="declared", **TEXTURE).calibration.n_groups == 10


def test_another_word_is_refused() -> None:
    with pytest.raises(SettingError, match="declared, found"):
        Inspector.fit(exposures(), groups="none", **TEXTURE)


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_five_views_of_one_part_are_one_group(tmp_path: Path) -> None:
    """As Real-IAD names them; parts of one number are others where one is good and one is not."""
    rng = np.random.default_rng(0)
    for part in range(6):
        for view in range(1, 6):
            path = tmp_path / "OK" / f"S{part:04d}" / f"toy_{part:04d}_OK_C{view}_2023102{part}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(path)
    with pytest.warns(AnomalensWarning, match="30 images form 6 groups"):
        assert Inspector.fit(tmp_path / "OK", **TEXTURE).calibration.n_groups == 6
    names = ["a/toy_0001_OK_C1_1.jpg", "b/toy_0001_OK_C2_1.jpg", "b/toy_0001_NG_BX_C2_1.jpg"]
    assert groups_by_name(names) == ["toy_0001_OK", "toy_0001_OK", "toy_0001_NG_BX"]

"""Whether near copies are found and left out together, or only groups that are declared."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens import ImageSet, Inspector
from anomalens.errors import SettingError

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

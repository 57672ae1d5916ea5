"""Cameras of 10 or 12 bits whose files have 16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from anomalens import Inspector
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images import Preprocessing

TEXTURE = {"detector": "gaussian", "parameters": {"features": "texture"}, "size": 64}


def scene(seed: int, bits: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(0.5, 0.1, (64, 64)) * 2**bits, 0, 2**bits - 1).astype(np.uint16)


@pytest.mark.parametrize("bits", [10, 12])
def test_a_fit_says_which_bits_are_used_and_what_to_do(bits: int) -> None:
    with pytest.warns(AnomalensWarning, match=f"a camera of {bits} bits. --preprocess bits={bits}"):
        Inspector.fit([scene(i, bits) for i in range(30)], **TEXTURE)


def test_with_the_bits_a_dim_camera_scores_as_a_full_one_and_the_file_remembers(tmp_path: Path) -> None:
    dim = Inspector.fit([scene(i, 12) for i in range(30)], preprocess="bits=12", **TEXTURE)
    full = Inspector.fit([scene(i, 16) for i in range(30)], **TEXTURE)
    again = Inspector.load(dim.save(tmp_path / "dim.anomalens"))
    for seed in (100, 101):
        expected = full.answer(scene(seed, 16)).score
        assert expected is not None
        assert again.answer(scene(seed, 12)).score == pytest.approx(expected, rel=0.02)
        tifffile.imwrite(tmp_path / "one.tif", scene(seed, 12), photometric="minisblack")
        (found,) = again.check(tmp_path / "one.tif")
        assert found.score == again.answer(scene(seed, 12)).score  # a file is what its array is


def test_pictures_of_8_bits_stay_and_other_numbers_are_refused() -> None:
    preparing = Preprocessing.parse("bits=12", width=16, height=16)
    assert Preprocessing.from_json(preparing.to_json()) == preparing
    for text in ("bits=8", "bits=16", "bits", "bits=x"):
        with pytest.raises(SettingError, match="bits"):
            Preprocessing.parse(text, width=16, height=16)

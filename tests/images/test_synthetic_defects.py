"""Painted defects: visible, small, exact and repeatable on any image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anomalens.demo.photographs import load_photograph
from anomalens.errors import SettingError
from anomalens.images.synthetic_defects import DEFECTS, MAX_SHARE, paint

KINDS = (*DEFECTS, "speck")

sides = st.integers(2, 96)
seeds = st.integers(0, 2**32 - 1)


def picture(height: int, width: int, seed: int, style: str) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    if style == "noise":
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.full((height, width, 3), {"black": 0, "white": 255, "grey": 127}[style], np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    sides,
    sides,
    seeds,
    st.sampled_from(KINDS),
    st.sampled_from(["noise", "black", "white", "grey"]),
    st.floats(0.01, 2),
)
def test_mask_is_exact_small_and_never_empty(height, width, seed, kind, style, strength) -> None:
    before = picture(height, width, seed, style)
    untouched = before.copy()
    after, mask = paint(before, kind, np.random.default_rng(seed), strength=strength)
    np.testing.assert_array_equal(before, untouched)
    np.testing.assert_array_equal(mask, (after != before).any(axis=2))
    assert after.shape == before.shape and after.dtype == np.uint8
    assert 1 <= mask.sum() <= max(1, MAX_SHARE * mask.size)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_defect_other_seed_another(kind) -> None:
    before = picture(64, 80, 0, "grey")
    first, _ = paint(before, kind, np.random.default_rng(5))
    again, _ = paint(before, kind, np.random.default_rng(5))
    other, _ = paint(before, kind, np.random.default_rng(6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
def test_visible_on_photographs_which_stay_grey(kind, name) -> None:
    before = load_photograph(f"{name}.png")[100:228, 200:328]
    for seed in range(8):
        after, mask = paint(before, kind, np.random.default_rng(seed))
        change = np.abs(after.astype(int) - before).max(axis=2)
        assert change[mask].max() >= 25
        assert (0.0003 if kind == "speck" else 0.001) < mask.mean() <= MAX_SHARE
        assert (after == after[..., :1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_strength_changes_contrast_not_place(kind) -> None:
    before = picture(96, 96, 0, "grey")
    weak, weak_mask = paint(before, kind, np.random.default_rng(1), strength=0.3)
    strong, strong_mask = paint(before, kind, np.random.default_rng(1), strength=1.0)
    assert (weak_mask <= strong_mask).all()
    assert np.abs(weak.astype(int) - before).sum() < np.abs(strong.astype(int) - before).sum()


def test_refuses_what_it_cannot_paint() -> None:
    rng = np.random.default_rng(0)
    before = picture(32, 32, 0, "grey")
    with pytest.raises(SettingError, match="scratch"):
        paint(before, "scrach", rng)
    for strength in (0.0, -1.0, 2.5, float("nan")):
        with pytest.raises(SettingError, match="strength"):
            paint(before, "hole", rng, strength=strength)
    for wrong in (before[..., 0], before.astype(np.float32), before[:0]):
        with pytest.raises(SettingError, match="uint8"):
            paint(wrong, "hole", rng)

"""What `evaluate` says of masks that cannot be right, where people see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens.cli.main import run


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for place in ("train/good", "test/good", "test/hole", "ground_truth/hole"):
        (tmp_path / place).mkdir(parents=True)
    for i in range(12):
        Image.fromarray(rng.integers(100, 150, (64, 64), np.uint8)).save(tmp_path / f"train/good/{i}.png")
    for i in range(4):
        Image.fromarray(rng.integers(100, 150, (64, 64), np.uint8)).save(tmp_path / f"test/good/{i}.png")
        pixels = rng.integers(100, 150, (64, 64), np.uint8)
        pixels[20:30, 20:30] = 0
        Image.fromarray(pixels).save(tmp_path / f"test/hole/{i}.png")
    return tmp_path


def said(dataset: Path, mask: np.ndarray, capsys: pytest.CaptureFixture[str]) -> Any:
    for i in range(4):
        Image.fromarray(mask).save(dataset / f"ground_truth/hole/{i}_mask.png")
    assert run(["evaluate", str(dataset), "--detector", "padim", "--size", "64"]) == 0
    return capsys.readouterr()


def test_inverted_masks_are_told(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.full((64, 64), 255, np.uint8)
    mask[20:30, 20:30] = 0
    assert "4 of 4 masks mark more than half of their picture" in said(dataset, mask, capsys).err


def test_masks_that_are_left_out_are_told_with_the_reason(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[10:15, 10:15] = 255
    err = said(dataset, mask, capsys).err
    assert "4 masks are left out, for example" in err and "32 x 32 pixels and its image" in err

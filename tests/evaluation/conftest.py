"""A small dataset in the MVTec layout, made of woven texture with painted squares of known mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.datasets import load_tasks
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.inspector import FitOptions

SIDE = 64
SETTINGS = FitOptions(
    detector="patchcore", size=64, parameters={"min_bank": 100}, runtime="onnxruntime", threads=1
)

SUITE = """
title = "Two"
seeds = [0, 1]
[[dataset]]
name = "woven"
size = 64
[[dataset]]
name = "not-there"
[[detector]]
name = "patchcore"
runtime = "onnxruntime"
parameters = { min_bank = 100 }
"""


def weave(seed: int) -> np.ndarray:
    """uint8 [64, 64, 3]: threads that cross, a little different each time."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    shift = rng.uniform(0, 8, 2)
    grey = 120 + 40 * np.sin((x + shift[0]) * 0.8) + 40 * np.sin((y + shift[1]) * 0.8)
    grey = grey + rng.normal(0, 4, grey.shape)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="session")
def woven(tmp_path_factory) -> Path:
    """train/good 24, test/good 8, test/patch 6 with masks, test/faint 2 without."""
    root = tmp_path_factory.mktemp("woven")
    for part, first, count in (("train/good", 0, 24), ("test/good", 100, 8)):
        (root / part).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(weave(first + i)).save(root / part / f"{i:03d}.png")
    (root / "test/patch").mkdir()
    (root / "test/faint").mkdir()
    (root / "ground_truth/patch").mkdir(parents=True)
    for i in range(8):
        pixels, mask = weave(200 + i), np.zeros((SIDE, SIDE), np.uint8)
        top, left = 8 + 4 * i, 40 - 4 * i
        pixels[top : top + 14, left : left + 14] = (230, 30, 30)
        mask[top : top + 14, left : left + 14] = 255
        kind = "patch" if i < 6 else "faint"
        Image.fromarray(pixels).save(root / "test" / kind / f"{i:03d}.png")
        if i < 6:
            Image.fromarray(mask).save(root / "ground_truth/patch" / f"{i:03d}_mask.png")
    return root


@pytest.fixture(scope="session")
def task(woven):
    (found,) = load_tasks(woven)
    return found


@pytest.fixture(scope="session")
def card(task):
    return evaluate_task(task, SETTINGS, command="anomalens evaluate woven")


@pytest.fixture
def suite(woven, tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.replace('"woven"', f'"{woven.name}"'))
    return path


@pytest.fixture
def as_file(tmp_path):
    """Writes anything as a JSON file."""

    def write(data, name="cards.json") -> Path:
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write

"""Cloudy striped images, an inspector fitted to them, and one fitted to real transistors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import ImageSet, Inspector
from anomalens.detectors.checks import painted

FAST: dict[str, Any] = {
    "size": 64,
    "runtime": "onnxruntime",
    "threads": 1,
    "policy": "false-alarm-rate=0.1",
    "parameters": {"min_bank": 150},
}


@pytest.fixture(scope="session")
def fast() -> dict[str, Any]:
    """Options that make a fit take a fraction of a second."""
    return FAST


def make_cloudy(count: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    images = []
    for _ in range(count):
        coarse = Image.fromarray(rng.normal(0, 25, (5, 6)).astype(np.float32))
        clouds = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))
        stripes = 25 * np.sin((x + 0.3 * y) / 2.5 + rng.uniform(0, 6))
        grey = 120 + clouds + stripes + rng.normal(0, 4, shape)
        images.append(grey[:, :, None] * np.array([1.0, 0.9, 0.8]))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def cloudy() -> Callable[[int, tuple[int, int], int], np.ndarray]:
    """A function from count, (height, width) and seed to images that are no near copies."""
    return make_cloudy


@pytest.fixture(scope="session")
def normal() -> np.ndarray:
    """uint8 [24, 80, 120, 3], all different."""
    return make_cloudy(24, (80, 120), 0)


@pytest.fixture(scope="session")
def fresh() -> np.ndarray:
    """uint8 [12, 80, 120, 3], like the normal ones and none of them."""
    return make_cloudy(12, (80, 120), 1)


@pytest.fixture(scope="session")
def defects(fresh: np.ndarray) -> np.ndarray:
    """The fresh ones with a chequered square of 40 pixels in the middle."""
    return np.stack([painted(image)[0] for image in fresh])


@pytest.fixture(scope="session")
def inspector(normal: np.ndarray) -> Inspector:
    return Inspector.fit(normal, **FAST)


@pytest.fixture(scope="session")
def transistors(real_set: Callable[[str], Path]) -> Inspector:
    folder = real_set("mvtec_transistor") / "train" / "good"
    paths = sorted(folder.iterdir())[:80]
    return Inspector.fit(
        ImageSet.open(paths),
        size=128,
        runtime="onnxruntime",
        policy="false-alarm-rate=0.05",
    )

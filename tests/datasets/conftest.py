"""Tiny trees in the published layouts, for the sets of which no real images are here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """A function that writes an image of noise (or of one value) below the test's folder."""

    def write(
        name: str, *, size: tuple[int, int] = (24, 20), value: int | None = None, mark: bool = False
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(abs(hash(name)) % 2**32)
        pixels = (
            np.full(size[::-1], value, np.uint8)
            if value is not None
            else rng.integers(0, 255, size[::-1], np.uint8)
        )
        if mark:
            pixels[2:6, 3:9] = 255
        Image.fromarray(pixels).save(path)
        return path

    return write

"""A model of small brick tiles, fitted once, and tiles to check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.demo.photographs import Tiles, load_photograph
from anomalens.images import ImageSet
from anomalens.inspector import Inspector
from anomalens.reports import CheckReport, ModelRecord


@pytest.fixture(scope="session")
def tiles() -> Tiles:
    return Tiles.cut(load_photograph("brick"))


@pytest.fixture(scope="session")
def inspector(tiles: Tiles) -> Inspector:
    return Inspector.fit(
        np.stack(list(tiles.normal.values())),
        size=64,
        policy="false-alarm-rate=0.05",
        parameters={"min_bank": 200},
    )


@pytest.fixture()
def photos(tiles: Tiles, tmp_path: Path) -> Path:
    """A folder with two good and two painted tiles, one very odd one, and an empty file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    good = [name for name in tiles.test if name.startswith("good/")][:2]
    for i, name in enumerate([*good, *list(tiles.masks)[:2]]):
        Image.fromarray(tiles.test[name]).save(folder / f"tile {i}.png")
    odd = tiles.test[good[0]].copy()
    odd[8:28, 8:28] = (255, 0, 0)
    Image.fromarray(odd).save(folder / "odd.png")
    (folder / "empty.png").write_bytes(b"")
    return folder


@pytest.fixture()
def check(inspector: Inspector) -> Callable[..., Path]:
    def run(out: Path, images: object, **options: int) -> Path:
        image_set = ImageSet.open(images)
        report = CheckReport(out, ModelRecord.of(inspector), image_set, **options)
        for finding in inspector.check(image_set):
            report.add(finding)
        return report.finish()

    return run

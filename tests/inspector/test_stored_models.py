"""Model files of former versions load and say what they said; `scripts/store_models.py` made them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anomalens import Inspector
from anomalens.images.decode import decode

STORED = sorted((Path(__file__).parents[1] / "stored").glob("*/*.anomalens"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_stored_model_says_the_same(path: Path) -> None:
    wanted = json.loads((path.parent / "expected.json").read_text())["models"][path.name]
    images = [decode(path.parent / f"image{number}.png").pixels for number in range(len(wanted))]
    references = None
    if path.stem == "template":  # each image a pixel aside; of a painted one, what it was before
        references = [np.roll(images[number % 4], 1, axis=1) for number in range(len(images))]
    found = list(Inspector.load(path, threads=1).check(images, references=references))
    for before, now in zip(wanted, found, strict=True):
        assert (now.error, now.anomalous) == (before["error"], before["anomalous"])
        assert now.score == pytest.approx(before["score"], rel=1e-6, abs=1e-9)
        assert now.p_value == pytest.approx(before["p_value"], rel=1e-6)


def test_every_family_is_stored() -> None:
    from anomalens.detectors import load_detector

    names = {
        path.stem.partition("-")[0] if path.stem.startswith(("combine", "tiled")) else path.stem
        for path in STORED
    }
    kinds = {load_detector(name).family for name in names - {"combine", "tiled"}}
    assert kinds == {"patches", "density", "one-class", "reconstruction", "self-supervised"}
    assert {"auto", "combine", "tiled"} <= names
    assert all(path.stat().st_size < 10**6 for path in STORED)

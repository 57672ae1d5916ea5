"""`check` says where pictures are of another kind, or of another day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anomalens import Inspector


def surface(seed: int, *, mean: float = 120.0, sd: float = 12.0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(mean, sd, (64, 64))
    return np.clip(values, 0, 255).astype(np.uint8)


def test_it_is_said_on_the_line_and_below(tmp_path: Path, anomalens: Any) -> None:
    normal = [surface(i, mean=120 + i % 7) for i in range(60)]
    texture = {"features": "texture"}
    model = Inspector.fit(normal, detector="gaussian", parameters=texture, size=64).save(
        tmp_path / "grey.anomalens"
    )
    for i in range(12):
        Image.fromarray(surface(500 + i, mean=112, sd=12.6)).save(tmp_path / f"{i:02d}.png")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "blank.png")
    answer = anomalens("check", str(model), *sorted(map(str, tmp_path.glob("*.png"))))
    assert any("blank.png" in line and "The picture is blank" in line for line in answer.lines)
    assert "1 picture is blank or of another kind than the model learnt from" in answer.err
    assert "As a batch these 13 pictures are not like the normal ones" in answer.err
    answer = anomalens("check", str(model), str(tmp_path / "blank.png"), "--json")
    assert json.loads(answer.lines[0])["notes"][0].startswith("The picture is blank")

"""Captures and classes on the command line: by folder, by a column, and named to `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anomalens import ImageSet, Inspector


def surfaces(count: int, seed: int) -> list[np.ndarray]:
    """uint8 [64, 64]."""
    rng = np.random.default_rng(seed)
    coarse = [np.kron(rng.normal(128, 20, (16, 16)), np.ones((4, 4))) for _ in range(count)]
    return [np.clip(values + rng.normal(0, 6, (64, 64)), 0, 255).astype(np.uint8) for values in coarse]


def test_folders_and_a_column_say_the_same(tmp_path: Path, anomalens: Any) -> None:
    lines = ["path,capture"]
    for i, image in enumerate(surfaces(36, 0)):
        day = f"day-{i // 12}"
        (tmp_path / "in" / day).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "in" / day / f"{i:02d}.png")
        lines.append(f"in/{day}/{i:02d}.png,{day}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    options = ("--detector", "gaussian", "-p", "features=texture", "--size", "64")
    by_folder = anomalens(
        "fit", tmp_path / "in", "--captures", "folders", "--out", tmp_path / "f.anomalens", *options
    )
    by_column = anomalens("fit", tmp_path / "list.csv", "--out", tmp_path / "c.anomalens", *options)
    assert by_folder.code == by_column.code == 0
    assert "each of 3 captures was scored by a model that has seen none of it" in by_folder.out
    scores = [Inspector.load(tmp_path / name).calibration.scores for name in ("f.anomalens", "c.anomalens")]
    np.testing.assert_array_equal(*scores)


def test_check_names_the_class(tmp_path: Path, anomalens: Any) -> None:
    names = ["steady"] * 20 + ["loose"] * 20
    images = ImageSet.from_arrays(surfaces(40, 3), classes=names)
    options: dict[str, Any] = {"detector": "gaussian", "parameters": {"features": "texture"}, "size": 64}
    Inspector.fit(images, p_values="class", **options).save(tmp_path / "m.anomalens")
    Image.fromarray(surfaces(1, 5)[0]).save(tmp_path / "new.png")
    told = anomalens("check", tmp_path / "m.anomalens", tmp_path / "new.png", "--class", "loose", "--json")
    assert told.code == 0 and '"class": "loose"' in told.out
    wrong = anomalens("check", tmp_path / "m.anomalens", tmp_path / "new.png", "--class", "third")
    assert wrong.code == 2 and "it has loose, steady" in wrong.err

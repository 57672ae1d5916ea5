"""The order in which the same files are named changes nothing: the model files are equal, byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector


@pytest.mark.parametrize("detector", ["auto", "patchcore", "gmm", "iforest"])
@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_files_in_any_order_make_the_same_model(detector: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(14):
        Image.fromarray(rng.integers(80, 170, (64, 64, 3), np.uint8)).save(tmp_path / f"{i}.png")
    files = sorted(tmp_path.glob("*.png"))
    models = []
    for number in range(3):
        named = [str(files[i]) for i in np.random.default_rng(number).permutation(len(files))]
        fitted = Inspector.fit(named, detector=detector, size=64, runtime="onnxruntime", threads=1)
        models.append(fitted.save(tmp_path / f"{number}.anomalens").read_bytes())
    assert models[0] == models[1] == models[2]

"""`inspect` says where 16-bit files hold fewer bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile


def scene(seed: int, bits: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(0.5, 0.1, (64, 64)) * 2**bits, 0, 2**bits - 1).astype(np.uint16)


def test_inspect_says_it_too(tmp_path: Path, anomalens: Any) -> None:
    for i in range(12):
        tifffile.imwrite(tmp_path / f"{i}.tif", scene(i, 12), photometric="minisblack")
    assert "--preprocess bits=12" in anomalens("inspect", tmp_path).out
    report = json.loads(anomalens("inspect", tmp_path, "--json").out)
    assert any("bits=12" in note for note in report["notes"])

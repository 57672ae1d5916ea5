"""A picture that shows nothing never passes without a word, whatever the detector makes of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector
from anomalens.cli.main import run
from anomalens.inspector.finding import Finding

TINY = {"epochs": 2, "width": 4}
DETECTORS: dict[str, dict[str, Any]] = {
    "patchcore": {},
    "gaussian": {"features": "texture"},
    "knn": {"features": "pixels"},
    "cae": TINY,
    "cae-kde": TINY,
    "deep-svdd": {**TINY, "pretraining": 2, "members": 1},
}
H, W = 80, 120


def halves(axis: int, dtype: Any = np.uint8) -> np.ndarray:
    picture = np.zeros((H, W, 3), dtype)
    picture[(slice(None),) * axis + (slice(37, None),)] = 255
    return picture


BLANK = {
    "grey": np.full((H, W, 3), 128, np.uint8),
    "black": np.zeros((H, W, 3), np.uint8),
    "white": np.full((H, W), 255, np.uint8),
    "left and right": halves(1),
    "top and bottom": halves(0),
    "a deep one": 257 * halves(1, np.uint16),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_every_blank_picture_is_remarked_and_no_other(
    name: str, normal: np.ndarray, fresh: np.ndarray
) -> None:
    if DETECTORS[name] and "epochs" in DETECTORS[name]:
        pytest.importorskip("torch", reason="needs the extra train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few images
        model = Inspector.fit(normal, detector=name, parameters=DETECTORS[name], size=64)
    for picture in BLANK.values():
        finding = model.answer(picture)
        (note,) = finding.notes
        assert "blank" in note and note in (finding.explanation or "")
        assert Finding.from_json(finding.to_json()).notes == finding.notes
    assert all(finding.notes == () for finding in model.check(fresh))


def test_real_pictures_are_not_blank_and_jpeg_makes_no_difference(
    transistors: Inspector, real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    fresh = real_set("mvtec_transistor") / "test" / "good"
    assert all(finding.notes == () for finding in transistors.check(fresh))
    for name, picture in BLANK.items():
        if picture.dtype == np.uint8:
            Image.fromarray(picture).resize((201, 155)).save(tmp_path / f"{name}.jpg", quality=80)
    assert all(finding.notes for finding in transistors.check(tmp_path))


def test_the_command_counts_those_that_it_does_not_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(rng.normal(128, 30, (40, H, W, 3)), 0, 255).astype(np.uint8)
    model = Inspector.fit(noisy, detector="knn", parameters={"features": "pixels"}, size=64)
    Image.fromarray(BLANK["grey"]).save(tmp_path / "grey.png")
    code = run(["check", str(model.save(tmp_path / "m.anomalens")), str(tmp_path / "grey.png")])
    said = capsys.readouterr()
    assert code == 0, said
    assert "note: 1 picture is blank or of another kind" in said.err

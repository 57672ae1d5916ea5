"""`fit --tile`, and `tiled:NAME` in the commands that take a detector's name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

TILES = ("--runtime", "onnxruntime", "-p", "min_bank=100")


def card(model: Path) -> dict[str, Any]:
    with zipfile.ZipFile(model) as archive:
        return json.loads(archive.read("card.json"))


@pytest.fixture(scope="module")
def tiled_model(parts, tmp_path_factory):
    from anomalens.cli.main import run

    path = tmp_path_factory.mktemp("tiles") / "m.anomalens"
    options = ("--detector", "patchcore", "--tile", "64", "--overlap", "16", "--false-alarm-rate", "0.1")
    assert run([str(word) for word in ("fit", parts, "--out", path, *options, *TILES)]) == 0
    return path


def test_tiles_are_learnt_at_the_size_that_the_images_have(tiled_model):
    found = card(tiled_model)
    assert found["size"] == [192, 192]
    assert found["detector"]["name"] == "tiled:patchcore"
    assert (found["detector"]["settings"]["tile"], found["detector"]["settings"]["overlap"]) == (64, 16)
    assert found["state"]["learnt"] == [30 * 16, 30 * 16]
    assert found["calibration"]["method"] == "out-of-fold"


def test_a_fault_is_flagged_and_shown_in_a_picture_of_usual_size(
    anomalens, tiled_model, broken, normal, tmp_path
):
    answer = anomalens("check", tiled_model, broken, normal, "--json", "--out", tmp_path / "report")
    assert answer.code == 1, answer.err
    flagged, fine = (json.loads(line) for line in answer.lines)
    assert flagged["anomalous"] and not fine["anomalous"]
    assert flagged["detector"] == "tiled:patchcore"
    x0, y0, x1, y1 = flagged["regions"][0]["box"]
    assert 0 <= x0 < x1 <= 192 and 0 <= y0 < y1 <= 192
    with Image.open(next((tmp_path / "report" / "overlays").iterdir())) as overlay:
        assert max(overlay.size) <= 1024


def test_fit_says_what_it_learnt_from(anomalens, parts, tmp_path):
    answer = anomalens(
        "fit", parts, "--out", tmp_path / "m.anomalens", "--detector", "tiled:patchcore", "--size", "96x64",
        "-p", "tile=32", "-p", "overlap=0", "-p", "max-tiles=60", *TILES,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "tiled:patchcore, learnt from 30 normal images" in answer.lines[0]
    assert "out-of-fold" in answer.lines[1]
    assert "learnt from 60 of 180 tiles of 32 px, overlapping by 0 or more" in answer.out
    assert card(tmp_path / "m.anomalens")["size"] == [64, 96]


def test_evaluate_takes_tiles_and_sizes_and_its_command_repeats_them(anomalens, parts, tmp_path):
    cards = tmp_path / "cards.json"
    answer = anomalens(
        "evaluate", parts, "--detector", "tiled:patchcore", "-p", "tile=64", "-p", "overlap=0",
        "--size", "128x64", "--json", cards, *TILES,
    )  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    (found,) = json.loads(cards.read_text())
    assert found["detector"] == "tiled:patchcore" and found["aupro"] is not None
    assert found["settings"]["fitted_size"] == [64, 128]
    assert "--size 128x64" in found["command"] and "-p tile=64" in found["command"]


def test_sweep_takes_tiles_and_its_command_repeats_it(anomalens, parts, tmp_path):
    cards = tmp_path / "cards.json"
    answer = anomalens(
        "sweep", parts, "--detector", "tiled:patchcore", "--over", "tile=32,64", "--size", "64",
        "-p", "overlap=0", "-p", "min_bank=50", "--json", cards,
    )  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    assert [line.split()[0] for line in answer.lines[-2:]] == ["32", "64"]
    command = json.loads(cards.read_text())[0]["command"]
    for part in ("--over tile=32,64", "--detector tiled:patchcore", "--size 64", "min_bank=50", "--seed 0"):
        assert part in command


def test_preprocess_writes_images_of_the_size_that_was_asked_for(anomalens, parts, tmp_path):
    for size, expected in (("40x24", (40, 24)), ("native", (192, 192))):
        out = tmp_path / size
        assert anomalens("preprocess", parts / "test" / "good", "--out", out, "--size", size).code == 0
        with Image.open(out / "000000.png") as image:
            assert image.size == expected

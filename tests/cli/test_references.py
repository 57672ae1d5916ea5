"""`--reference`, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw


@pytest.fixture(scope="module")
def boards(tiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """good (20 pictures), templates, new (a good and a scratched one, `_test`) and their `_temp`."""
    root = tmp_path_factory.mktemp("boards")
    for folder in ("good", "templates", "new", "new-templates"):
        (root / folder).mkdir()
    for index, tile in enumerate(tiles[:22]):
        photograph = tile.transform(tile.size, Image.Transform.AFFINE, (1, 0, 2, 0, 1, -1)).point(
            lambda value: round(value * 0.9)
        )
        if index < 20:
            tile.save(root / "templates" / f"{index}.png")
            photograph.save(root / "good" / f"{index}.jpg", quality=90)
            continue
        if index == 21:
            ImageDraw.Draw(photograph).line((60, 60, 120, 130), fill="white", width=5)
        photograph.save(root / "new" / f"{index}_test.png")
        tile.save(root / "new-templates" / f"{index}_temp.png")
    return root


def test_fit_check_and_calibrate_with_references(anomalens, boards, tmp_path):
    model = tmp_path / "boards.anomalens"
    options = ["--size", "96", "--runtime", "onnxruntime", "--false-alarm-rate", "0.1"]
    done = anomalens("fit", boards / "good", "--reference", boards / "templates", "--out", model, *options)
    assert done.code == 0, done.err
    assert "template, learnt from 20 normal images" in done.out
    new = ["check", model, boards / "new", "--reference", boards / "new-templates"]
    done = anomalens(*new, "--json", "--out", tmp_path / "report")
    assert done.code == 1, done.err
    good, scratched = (json.loads(line) for line in done.lines)
    assert scratched["anomalous"] and scratched["score"] > 1.5 * good["score"]
    x0, y0, x1, y1 = scratched["regions"][0]["box"]
    assert x0 < 90 < x1 and y0 < 95 < y1
    assert (tmp_path / "report" / "index.html").exists()

    done = anomalens("check", model, boards / "new")
    assert done.code == 2
    assert done.err.strip().endswith("add --reference DIR (in Python references=).")
    done = anomalens(
        "calibrate", model, boards / "good", "--reference", boards / "templates", "--out", model,
        "--policy", "max",
    )  # fmt: skip
    assert done.code == 2 and "has not seen" in done.err  # it has learnt from all of them
    done = anomalens("calibrate", model, "--reference", boards / "templates", "--out", model)
    assert done.code == 2 and "name the NORMAL pictures" in done.err


def test_a_manifest_may_name_the_references(anomalens, boards, tmp_path):
    listed = [f"{boards}/good/{i}.jpg,{boards}/templates/{i}.png" for i in range(20)]
    manifest = tmp_path / "boards.csv"
    manifest.write_text("\n".join(["path,reference", *listed]))
    model = tmp_path / "m.anomalens"
    done = anomalens("fit", manifest, "--out", model, "--size", "64", "--runtime", "onnxruntime")
    assert done.code == 0 and "template, learnt from 20" in done.out
    done = anomalens("check", model, manifest)
    assert done.code in (0, 1) and "0 unreadable of 20 images" in done.err


def test_references_that_do_not_pair_stop_before_the_work(anomalens, boards, tmp_path):
    done = anomalens(
        "fit", boards / "new", "--reference", boards / "templates", "--out", tmp_path / "m.anomalens"
    )
    assert done.code == 2 and "None of the 2 images has a reference" in done.err
    assert len(done.err.strip().splitlines()) == 1

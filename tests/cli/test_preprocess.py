"""`anomalens preprocess`."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image


def rows(folder):
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_images_manifest_and_record(anomalens, parts, tmp_path):
    out = tmp_path / "prepared"
    answer = anomalens("preprocess", parts / "test" / "good", "--out", out, "--size", 48,
                       "--preprocess", "pad,grey")  # fmt: skip
    assert answer.code == 0
    assert answer.out == f"2 images and manifest.csv in {out}; 0 could not be read\n"
    written = rows(out)
    assert list(written[0]) == ["path", "label", "mask", "group"]
    for row in written:
        with Image.open(out / row["path"]) as image:
            pixels = np.asarray(image)
        assert pixels.shape == (48, 48, 3)
        assert (pixels[..., 0] == pixels[..., 2]).all()
    record = json.loads((out / "preprocessing.json").read_text())
    assert record["augmentation"] is None and record["preprocessing"]
    assert record["sources"] == {"000000.png": "000.jpg", "000001.png": "001.jpg"}
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]


def test_copies_stay_in_the_group_of_their_original(anomalens, parts, tmp_path):
    out = tmp_path / "prepared"
    anomalens("preprocess", parts / "test" / "good", "--out", out, "--size", 32,
              "--augment", "flip,rotate=15", "--copies", 3, "--seed", 5)  # fmt: skip
    written = rows(out)
    assert len(written) == 8
    assert [row["group"] for row in written] == ["000.jpg"] * 4 + ["001.jpg"] * 4
    again = tmp_path / "again"
    anomalens("preprocess", parts / "test" / "good", "--out", again, "--size", 32,
              "--augment", "flip,rotate=15", "--copies", 3, "--seed", 5)  # fmt: skip
    for row in written:
        assert (out / row["path"]).read_bytes() == (again / row["path"]).read_bytes()


def test_its_manifest_can_be_learnt_from(anomalens, parts, tmp_path):
    out = tmp_path / "prepared"
    anomalens("preprocess", parts / "train" / "good", "--out", out, "--size", 32)
    answer = anomalens("fit", out / "manifest.csv", "--size", 32, "--out", tmp_path / "m.anomalens")
    assert answer.code == 0, answer.err
    assert "learnt from 30 normal images" in answer.out


def test_an_empty_folder_is_used_and_a_full_one_refused(anomalens, normal, tmp_path):
    out = tmp_path / "prepared"
    out.mkdir()
    assert anomalens("preprocess", normal, "--out", out, "--size", 16).code == 0
    before = sorted(out.iterdir())
    answer = anomalens("preprocess", normal, "--out", out, "--size", 16)
    assert answer.code == 2
    assert "is not empty" in answer.err
    assert sorted(out.iterdir()) == before


def test_the_folder_may_be_read_by_whom_the_umask_allows(anomalens, normal, tmp_path):
    (tmp_path / "ordinary").mkdir()
    anomalens("preprocess", normal, "--out", tmp_path / "prepared", "--size", 16)
    assert (tmp_path / "prepared").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_folders_above_out_are_made(anomalens, normal, tmp_path):
    out = tmp_path / "a" / "b"
    assert anomalens("preprocess", normal, "--out", out, "--size", 16).code == 0
    assert len(rows(out)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preprocess", "gray"], "did you mean 'grey'?"),
        (["--augment", "rotat=3"], "did you mean 'rotate'?"),
        (["--size", "1"], "give 16 to 8192 pixels"),
        (["--preprocess", "mask=gone.png"], "gone.png"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(anomalens, normal, tmp_path, options, said):
    answer = anomalens("preprocess", normal, "--out", tmp_path / "prepared", *options)
    assert answer.code == 2
    assert said in answer.err
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_a_file_is_refused(anomalens, normal, tmp_path):
    (tmp_path / "taken").write_text("x")
    answer = anomalens("preprocess", normal, "--out", tmp_path / "taken" / "below")
    assert answer.code == 2
    assert "taken" in answer.err and "Traceback" not in answer.err
    assert (tmp_path / "taken").read_text() == "x"

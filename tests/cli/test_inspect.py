"""`anomalens inspect`."""

from __future__ import annotations

import json
import shutil

import numpy as np
from PIL import Image

KEYS = {
    "layout", "parts", "sizes", "odd_sizes", "unreadable", "not_images", "duplicates", "leaks", "split",
    "notes",
}  # fmt: skip


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dataset(anomalens, parts):
    before = listing(parts)
    answer = anomalens("inspect", parts, "--json")
    assert answer.code == 0
    report = json.loads(answer.out)
    assert set(report) == KEYS
    assert report["parts"]["train"]["images"] == 30
    assert report["parts"]["test"]["labels"] == {"good": 2, "hole": 2}
    assert report["parts"]["test"]["masks"] == 2
    assert report["leaks"] == [] and report["unreadable"] == []
    assert listing(parts) == before  # it changes nothing


def test_as_text(anomalens, parts):
    answer = anomalens("inspect", parts)
    assert answer.code == 0
    assert answer.lines[0].startswith(f"{parts} is a dataset: normal training images in train/good")
    assert "test: 4 images (2 good, 2 hole), 2 masks" in answer.lines
    assert any(line.startswith("fit would learn from 30 images in ") for line in answer.lines)


def test_a_training_set_without_test_images(anomalens, parts, tmp_path):
    shutil.copytree(parts / "train", tmp_path / "part" / "train")
    answer = anomalens("inspect", tmp_path / "part", "--json")
    assert answer.code == 0, answer.err
    assert set(json.loads(answer.out)["parts"]) == {"train"}


def test_classes_beside_each_other_are_no_leak(anomalens, parts, tmp_path):
    shutil.copytree(parts / "test" / "good", tmp_path / "good")
    shutil.copytree(parts / "test" / "hole", tmp_path / "hole")
    answer = anomalens("inspect", tmp_path, "--json")
    report = json.loads(answer.out)
    assert answer.code == 0
    assert report["leaks"] == []
    assert report["parts"]["train"]["images"] == 2
    assert report["parts"]["test"]["labels"] == {"hole": 2}


def test_the_same_image_in_training_and_test_is_a_leak_and_exit_code_2(anomalens, parts, tmp_path):
    root = tmp_path / "part"
    shutil.copytree(parts, root)
    shutil.copy(root / "train" / "good" / "000.jpg", root / "test" / "good" / "copied.jpg")
    answer = anomalens("inspect", root)
    assert answer.code == 2
    assert "same image in training and test: 000.jpg = test/good/copied.jpg" in answer.lines


def test_copies_odd_sizes_and_files_that_do_not_belong(anomalens, parts, tmp_path):
    for path in sorted((parts / "train" / "good").iterdir())[:15]:
        shutil.copy(path, tmp_path / path.name)
    shutil.copy(tmp_path / "000.jpg", tmp_path / "copy.jpg")
    with Image.open(tmp_path / "001.jpg") as image:
        image.resize((100, 50)).save(tmp_path / "small.png")
    (tmp_path / "notes.txt").write_text("x")
    answer = anomalens("inspect", tmp_path, "--json")
    report = json.loads(answer.out)
    assert answer.code == 0
    assert ["000.jpg", "copy.jpg"] in report["duplicates"]["images"]
    assert report["odd_sizes"] == ["small.png (100×50)"]
    assert report["not_images"] == ["notes.txt"]
    text = anomalens("inspect", tmp_path).lines
    assert "odd size: small.png (100×50)" in text
    assert "no image: notes.txt" in text


def test_files_and_folders_together(anomalens, parts, normal):
    answer = anomalens("inspect", parts / "test" / "good", normal, "--json")
    assert json.loads(answer.out)["parts"]["images"]["images"] == 3


def test_too_few_images_are_announced(anomalens, normal):
    answer = anomalens("inspect", normal)
    assert any("too few" in line and "uncalibrated" in line for line in answer.lines)


def test_a_folder_without_images_and_a_missing_one(anomalens, tmp_path):
    for path, said in ((tmp_path, "holds no image"), (tmp_path / "gone", "There is no file")):
        answer = anomalens("inspect", path)
        assert answer.code == 2
        assert answer.out == ""
        assert answer.err.startswith("error: ") and said in answer.err


def test_an_archive_of_classes_is_inspected_as_tasks(anomalens, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (24, 8, 8), np.uint8)
    labels = np.array([0, 1] * 12)
    test = np.concatenate([images[:2], rng.integers(0, 255, (6, 8, 8), np.uint8)])
    np.savez(
        tmp_path / "two.npz",
        x_train=images, y_train=labels, x_test=test, y_test=labels[:8], class_names=["cat", "dog"],
    )  # fmt: skip
    answer = anomalens("inspect", tmp_path / "two.npz", "--json")
    report = json.loads(answer.out)
    assert answer.code == 2, "the first two test images are training images"
    assert "2 tasks, protocol one-vs-rest" in report["layout"]
    assert report["parts"]["two/cat train"]["images"] == 12
    assert report["sizes"][0]["size"] == "8×8"
    assert report["leaks"]


def test_several_categories_are_inspected_as_tasks(anomalens, real_set):
    answer = anomalens("inspect", real_set("paper_piped"))
    assert "6 tasks, protocol split" in answer.out
    assert "same image in training and test" in answer.out, "bdp01_tl holds one copy across the split"

"""`anomalens classify doubts`: flipped labels of real digits come first, on a page and in a table."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from anomalens.cli.main import run


@pytest.fixture
def digits(tmp_path, real_set):
    """Sixty pictures of each of three digits, four labels of them wrong; and the ids of those four."""
    with np.load(next(real_set("mnist").glob("*.npz"))) as file:
        x, y = file["x_train"], file["y_train"].astype(int)
    rows = np.concatenate([np.flatnonzero(y == digit)[:60] for digit in (0, 1, 4)])
    labels = np.repeat([0, 1, 2], 60)
    flipped = np.array([3, 50, 77, 150])
    labels[flipped] = (labels[flipped] + 1) % 3
    path = tmp_path / "digits.npz"
    names = np.array(["zero", "one", "four"])
    np.savez(path, x_train=x[rows], y_train=labels, x_test=x[:2], y_test=[0, 1], class_names=names)
    return path, {f"train/{row:05d}" for row in flipped}


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_flipped_labels_come_first(digits, tmp_path, capsys):
    path, flipped = digits
    assert run(["classify", "doubts", str(path), "--report", str(tmp_path / "doubts")]) == 0
    out = capsys.readouterr().out
    assert "of 180 images would be named otherwise" in out and "index.html" in out
    with (tmp_path / "doubts" / "doubts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 180 and flipped <= {row["id"] for row in rows[:6]}
    assert "<img" in (tmp_path / "doubts" / "index.html").read_text()


def test_one_class_is_refused(tmp_path, capsys):
    path = tmp_path / "a.npz"
    zeros = np.zeros((4, 8, 8), np.uint8)
    np.savez(path, x_train=zeros, y_train=[0] * 4, x_test=zeros, y_test=[0] * 4, class_names=np.array(["a"]))
    assert run(["classify", "doubts", str(path), "--report", str(tmp_path / "out")]) == 2
    assert "class" in capsys.readouterr().err

"""The page of doubted labels."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from anomalens.errors import InputError
from anomalens.images import ImageSet
from anomalens.reports.classify.doubts import write_doubts


def test_most_doubted_first_with_pictures_and_a_table(tmp_path):
    images = ImageSet.from_arrays(np.zeros((4, 8, 8, 3), np.uint8))
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.01, 0.99], [0.3, 0.7]])
    page, otherwise = write_doubts(tmp_path, images, np.array([0, 0, 0, 1]), shares, ("<cat>", "dog"))
    text = page.read_text()
    assert otherwise == 2
    assert "would name 2 of 4 pictures otherwise" in text and text.count("<img") == 2
    assert text.index("(99 %)") < text.index("(80 %)")
    assert "<cat>" not in text and "<b>&lt;cat&gt;</b> or dog" in text
    with (tmp_path / "doubts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [images[i].id for i in (2, 1, 3, 0)]
    assert (rows[0]["given"], rows[0]["suggested"], rows[0]["p_suggested"]) == ("<cat>", "dog", "0.99")
    write_doubts(tmp_path, images, np.array([0, 1, 1, 1]), shares, ("cat", "dog"))  # its own files
    assert "would name 0 of 4" in page.read_text()


def test_a_foreign_file_stays(tmp_path):
    (tmp_path / "doubts.csv").write_text("mine")
    images = ImageSet.from_arrays(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="not listed as a file of an earlier report"):
        write_doubts(tmp_path, images, np.array([0]), np.array([[0.5, 0.5]]), ("a", "b"))

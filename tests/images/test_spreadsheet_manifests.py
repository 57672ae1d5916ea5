"""Manifests as spreadsheets and pandas write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.errors import ImageSetError
from anomalens.images.manifest import read_manifest

ROWS = [("größe/0.png", "good"), ("größe/1.png", "scratch")]


def lines(separator: str, *, before: str = "", after: str = "", index: bool = False) -> str:
    table = [("path", "label"), *ROWS]
    numbered = [((str(i - 1) if i else ""), *row) if index else row for i, row in enumerate(table)]
    return (
        "".join(f"{separator.join(row)}{after}\r\n" for row in numbered)
        if not before
        else (before + "\r\n" + lines(separator, after=after, index=index))
    )


@pytest.mark.parametrize(
    "data",
    [
        lines("\t").encode(),
        lines("\t").encode("utf-16"),
        lines(",").encode("utf-16"),
        lines(";", before="sep=;").encode("utf-8-sig"),
        lines(",", before='"sep=,"').encode(),
        lines(",", after=",").encode(),
        lines(";", after=";;").encode(),
        lines(",", index=True).encode(),
        lines(",", index=True).replace(",path", "Unnamed: 0,path").encode(),
        unicodedata.normalize("NFD", lines(",")).encode(),
    ],
    ids=["tab", "utf-16 tab", "utf-16 comma", "sep line", "quoted sep line", "empty column", "two columns",
         "pandas index", "its second reading", "decomposed letters"],
)  # fmt: skip
def test_what_is_unambiguous_is_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "größe").mkdir()
    for name, _ in ROWS:
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    (tmp_path / "list.csv").write_bytes(data)
    rows = read_manifest(tmp_path / "list.csv")
    assert [row.label for row in rows] == ["good", "scratch"]
    assert all(row.path.is_file() for row in rows)


def test_nan_in_an_empty_cell_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label,mask,group\na.png,nan,nan,NaN\nb.png,good,,1\n")
    first, second = read_manifest(tmp_path / "list.csv")
    assert (first.label, first.mask, first.group) == ("", None, None) and second.group == "1"


def test_a_column_with_another_name_is_still_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,lable\na.png,good\n")
    with pytest.raises(ImageSetError, match="unknown column 'lable'"):
        read_manifest(tmp_path / "list.csv")

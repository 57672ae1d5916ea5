"""A folder of every kind of file, checked in one call: each is accounted for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, features

RNG = np.random.default_rng(0)


def photograph() -> Image.Image:
    return Image.fromarray(RNG.integers(60, 200, (48, 64, 3), np.uint8))


READ = ["a.png", "b.jpg", "c.JPEG", "d.bmp", "e.webp", "f.gif", "g.ppm", "h.tga", "i.tif"]
DEEP = {
    "grey16.png": lambda p: Image.fromarray(RNG.integers(0, 65535, (48, 64), np.uint16)).save(p),
    "rgb16.tif": lambda p: tifffile.imwrite(
        p, RNG.integers(0, 65535, (48, 64, 3), np.uint16), photometric="rgb"
    ),
    "float.tif": lambda p: tifffile.imwrite(p, RNG.random((48, 64)), photometric="minisblack"),
}
REFUSED = {
    "phone.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 200, "HEIC"),
    "phone.heif": (b"\0\0\0\x18ftypmif1" + b"\0" * 200, "HEIC"),
    "new.jxl": (b"\xff\x0a" + b"\0" * 200, "JPEG XL"),
    "camera.dng": (b"II*\0" + b"\0" * 200, "raw"),
    "camera.NEF": (b"MM\0*" + b"\0" * 200, "raw"),
    "scan.dcm": (b"\0" * 128 + b"DICM" + b"\0" * 99, "DICOM"),
    "brain.nii": (b"\x5c\x01\0\0" + b"\0" * 400, "NIfTI"),
    "brain.nii.gz": (b"\x1f\x8b" + b"\0" * 99, "NIfTI"),
    "letter.pdf": (b"%PDF-1.7 and more", "PDF"),
    "drawing.psd": (b"8BPS" + b"\0" * 99, "layers"),
    "sky.exr": (b"\x76\x2f\x31\x01" + b"\0" * 99, "high-dynamic"),
    "renamed.jpg": (b"%PDF-1.7 and more", "PDF"),
    "empty.png": (b"", "empty"),
    "cut.png": (b"\x89PNG\r\n\x1a\n", "damaged|truncated"),
}
PASSED_OVER = ["notes.txt", "table.xlsx", "film.mp4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mixed"
    place.mkdir()
    for part in range(6):  # some 170 files
        below = place / f"part {part}"
        below.mkdir()
        for name in READ:
            photograph().save(below / name)
        for name, write in DEEP.items():
            write(below / name)
        for name, (data, _) in REFUSED.items():
            (below / name).write_bytes(data)
        for name in PASSED_OVER:
            (below / name).write_bytes(b"words")
        if features.check("avif"):
            photograph().save(below / "j.avif")
    return place


def test_every_file_is_accounted_for(folder: Path, model: Path, anomalens: Any) -> None:
    answer = anomalens("check", model, folder, "--json")
    assert answer.code == 2  # some cannot be read
    found = [json.loads(line) for line in answer.lines]
    read = 6 * (len(READ) + len(DEEP) + bool(features.check("avif")))
    assert sum(one["error"] is None for one in found) == read
    said = {Path(one["image"]).name: one["error"] for one in found if one["error"] is not None}
    assert set(said) == set(REFUSED)
    for name, (_, words) in REFUSED.items():
        assert any(word in said[name] for word in words.split("|")), said[name]
        assert "damaged" not in said[name] or name == "cut.png"
    counts = Counter(one["error"] is None for one in found)
    assert f"{counts[False]} unreadable of {len(found)} images" in answer.err
    assert f"{6 * len(PASSED_OVER)} files passed over for not being images" in answer.err


def test_a_pattern_names_them_too(folder: Path, model: Path, anomalens: Any) -> None:
    answer = anomalens("check", model, f"{folder}/**/*.heic", "--json")
    assert answer.code == 2 and len(answer.lines) == 6

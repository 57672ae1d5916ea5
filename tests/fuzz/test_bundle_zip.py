"""Model files whose zip is not what a zip should be: repeated, shared, packed, endless or foreign."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from anomalens import Inspector
from anomalens.errors import ModelFileError


def test_repeated_members(members: dict[str, bytes], load: Callable[[bytes], str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("card.json", members["card.json"])
    assert "too many or repeated members" in load(buffer.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_are_not_inflated(method: int, members: dict[str, bytes], load: Callable[[bytes], str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("card.json", members["card.json"])
        archive.writestr("arrays.safetensors", bytes(60_000_000))
    assert "packed by another program" in load(buffer.getvalue())


def test_members_that_share_their_bytes_are_refused(load: Callable[[bytes], str]) -> None:
    """Sixty names for one megabyte: each alone is smaller than the file, together they are not."""
    text, data = b'{"format":"anomalens","format_version":1}', bytes(1_000_000)
    local = struct.Struct("<4s5H3L2H")
    entry = struct.Struct("<4s6H3L5H2L")
    names = [b"card.json", *(b"%02d.onnx" % i for i in range(60))]
    body, directory = b"", b""
    for name, content in ((names[0], text), (names[1], data)):
        sizes = (zlib.crc32(content), len(content), len(content))
        shared = names[1:] if name != names[0] else [name]
        for other in shared:
            directory += entry.pack(
                b"PK\x01\x02", 20, 20, 0, 0, 0, 33, *sizes, len(other), 0, 0, 0, 0, 0, len(body)
            ) + other  # fmt: skip
        body += local.pack(b"PK\x03\x04", 20, 0, 0, 0, 33, *sizes, len(name), 0) + name + content
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(names), len(names), len(directory), len(body), 64)
    comment = hashlib.sha256(text).hexdigest().encode()
    assert "packed by another program" in load(body + directory + end + comment)


def test_very_many_members_are_not_listed(load: Callable[[bytes], str]) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, *[0] * 4, *[0] * 3, 1, *[0] * 6) + b"a"
    directory = entry * 200_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, len(directory), 0, 0)
    assert "lists too many members" in load(directory + end)


@pytest.mark.parametrize("field", ["compress_size", "file_size"])
def test_sizes_beyond_the_file_are_refused(field: str, model: bytes, load: Callable[[bytes], str]) -> None:
    edited = bytearray(model)
    start = model.index(b"PK\x01\x02", model.index(b"PK\x01\x02") + 1)
    offset = {"compress_size": 20, "file_size": 24}[field]
    edited[start + offset : start + offset + 4] = struct.pack("<L", 0xFFFFFF00)
    assert load(bytes(edited)) != "loaded"


def test_a_foreign_zip_an_empty_one_and_other_files(load: Callable[[bytes], str]) -> None:
    for names in ([], ["word/document.xml", "[Content_Types].xml"]):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        assert "not an Anomalens model" in load(buffer.getvalue())
    for data in (b"", b"\x89PNG\r\n\x1a\n", b"\x80\x04\x95", b"%PDF-1.7"):
        assert "is not an Anomalens model" in load(data)


def test_a_folder_a_missing_file_and_a_strange_path(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / ("n" * 300), Path("a\0b")):
        with pytest.raises(ModelFileError):
            Inspector.load(path)

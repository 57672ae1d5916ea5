"""PNG in 16-bit colour keeps all its bits."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.images.decode import decode

RNG = np.random.default_rng(0)
COLOUR_TYPE = {3: 2, 4: 6}


def write(path: Path, values: np.ndarray, *, more: bytes = b"", filter_type: int = 0) -> Path:
    """A PNG of uint16 [h, w, 3 or 4], its rows as they are or each subtracted from the one above."""
    height, width, channels = values.shape
    rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    if filter_type == 2:
        rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    packed = b"".join(bytes([filter_type]) + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPE[channels], 0, 0, 0)
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", zlib.compress(packed)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("filter_type", [0, 2])
def test_all_bits_are_kept_and_a_file_scores_as_its_array_would(tmp_path: Path, filter_type: int) -> None:
    values = RNG.integers(0, 65536, (37, 53, 3), np.uint16)
    seen = decode(write(tmp_path / "deep.png", values, filter_type=filter_type)).pixels
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, values / 257, atol=1e-4)


def test_dark_camera_pictures_are_not_cut_to_a_few_levels(tmp_path: Path) -> None:
    values = RNG.integers(0, 4096, (40, 60, 3), np.uint16)
    assert len(np.unique(decode(write(tmp_path / "dark.png", values)).pixels)) > 2000


def test_alpha_of_16_bits_is_laid_over_white(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (37, 53, 4), np.uint16)
    alpha = values[..., 3:] / 65535
    seen = decode(write(tmp_path / "alpha.png", values)).pixels
    np.testing.assert_allclose(seen, values[..., :3] / 257 * alpha + 255 * (1 - alpha), atol=1e-2)


def test_it_is_turned_upright(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (37, 53, 3), np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "turned.png", values, more=chunk(b"eXIf", exif.tobytes()[6:]))
    np.testing.assert_allclose(decode(path).pixels, np.rot90(values, -1) / 257, atol=1e-4)


def test_a_transparent_colour_still_shows_white(tmp_path: Path) -> None:
    values = np.full((10, 12, 3), 0x1234, np.uint16)
    more = chunk(b"tRNS", struct.pack(">HHH", 0x1234, 0x1234, 0x1234))
    assert decode(write(tmp_path / "clear.png", values, more=more)).pixels.dtype == np.uint8

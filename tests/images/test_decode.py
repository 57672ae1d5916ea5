"""Decoding: every usual kind of file gives the pixels it shows, every bad file one sentence."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anomalens.errors import ImageError
from anomalens.images import SUFFIXES, ImageSet, decode
from anomalens.images.tiff import picture_pages

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".tga", ".jp2", ".webp"])
def test_lossless_formats_give_the_pixels(tmp_path: Path, suffix: str) -> None:
    options = {".jp2": {"irreversible": False}, ".webp": {"lossless": True}}.get(suffix, {})
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(COLOUR), **options)
    picture = decode(path)
    assert picture.pixels.dtype == np.uint8
    assert np.array_equal(picture.pixels, COLOUR)
    assert picture.size == (20, 12)


def test_content_tells_the_format_not_the_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "really_png.jpg", Image.fromarray(COLOUR), format="PNG")
    assert np.array_equal(decode(path).pixels, COLOUR)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_exif_orientations_all_show_the_same(tmp_path: Path, orientation: int, suffix: str) -> None:
    back = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    shown = np.zeros((48, 80, 3), np.uint8)
    shown[:16, :16] = 255
    stored = Image.fromarray(shown)
    stored = stored if back is None else stored.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a{suffix}", stored, exif=exif)
    for reduce_to in (None, 20):
        picture = decode(path, reduce_to=reduce_to)
        assert picture.size == (80, 48)
        height, width = picture.pixels.shape[:2]
        assert (width, height) == ((40, 24) if suffix == ".jpg" and reduce_to else (80, 48))
        step = 80 // width
        assert picture.pixels[2 // step, 2 // step].min() > 240
        assert picture.pixels[-3, -3].max() < 15
        assert picture.pixels[-3, 2].max() < 15


# Pillow's warning; it cannot be silenced for one thread alone.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_next_to_sound_pixels_is_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(COLOUR), exif=b"Exif\0\0II*\0\xff\xff\xff\x0f")
    assert decode(path).size == (20, 12)


def test_modes_become_rgb(tmp_path: Path) -> None:
    rgb = Image.fromarray(COLOUR)
    one_bit = GREY > 127
    path = saved(tmp_path / "1.png", Image.fromarray(one_bit))
    assert np.array_equal(decode(path).pixels[..., 1], one_bit * np.uint8(255))
    path = saved(tmp_path / "L.png", Image.fromarray(GREY))
    assert np.array_equal(decode(path).pixels, np.repeat(GREY[..., None], 3, axis=2))
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    path = saved(tmp_path / "P.png", palette)
    assert np.array_equal(decode(path).pixels, np.asarray(palette.convert("RGB")))
    path = saved(tmp_path / "P.tif", palette)
    assert np.array_equal(decode(path).pixels, np.asarray(palette.convert("RGB")))
    path = saved(tmp_path / "P.gif", palette)
    assert np.array_equal(decode(path).pixels, np.asarray(palette.convert("RGB")))
    cmyk = rgb.convert("CMYK")
    path = saved(tmp_path / "C.tif", cmyk)
    assert np.array_equal(decode(path).pixels, np.asarray(cmyk.convert("RGB")))
    flat = Image.new("RGB", (32, 32), (200, 40, 90))
    for mode in ("CMYK", "YCbCr"):
        path = saved(tmp_path / f"{mode}.jpg", flat.convert(mode), quality=95)
        assert np.abs(decode(path).pixels.astype(int) - (200, 40, 90)).max() <= 6


def test_transparency_shows_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[:, :3] = (200, 0, 0, 255)
    rgba[:, 3:] = (0, 0, 0, 128)
    rgba[0, 5] = (9, 9, 9, 0)
    for suffix, options in (
        (".png", {}),
        (".webp", {"lossless": True, "exact": True}),
        (".tif", {}),
    ):
        pixels = decode(saved(tmp_path / f"a{suffix}", Image.fromarray(rgba), **options)).pixels
        assert pixels[1, 1].tolist() == [200, 0, 0]
        assert pixels[1, 4].tolist() == [127, 127, 127]
        assert pixels[0, 5].tolist() == [255, 255, 255]
    grey_alpha = Image.fromarray(rgba).convert("LA")
    assert decode(saved(tmp_path / "LA.png", grey_alpha)).pixels[0, 5].tolist() == [255, 255, 255]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((0, 0), 0)
    path = saved(tmp_path / "P.png", palette, transparency=0)
    assert decode(path).pixels[0, 0].tolist() == [255, 255, 255]
    assert decode(path).pixels[1, 1].tolist() == [40, 50, 60]
    path = saved(tmp_path / "P2.png", palette, transparency=bytes([0, 255]))
    assert decode(path).pixels[0, 0].tolist() == [255, 255, 255]
    path = saved(tmp_path / "RGB.png", Image.fromarray(COLOUR), transparency=tuple(COLOUR[0, 0].tolist()))
    assert decode(path).pixels[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bit_grey_keeps_its_depth(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(0, 65535, 240).round().astype(np.uint16).reshape(12, 20)
    pixels = decode(saved(tmp_path / f"a{suffix}", Image.fromarray(deep))).pixels
    assert pixels.dtype == np.float32
    assert pixels.shape == (12, 20, 3)
    assert np.allclose(pixels[..., 2], deep / 257, atol=1e-4)


def test_deep_tiff_kinds(tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 240, dtype=np.float32).reshape(12, 20)
    pixels = decode(saved(tmp_path / "f.tif", Image.fromarray(unit))).pixels
    assert np.allclose(pixels[..., 0], unit * 255, atol=1e-4)
    big_endian = Image.frombytes("I;16B", (20, 12), (unit * 65535).astype(">u2").tobytes())
    pixels = decode(saved(tmp_path / "b.tif", big_endian)).pixels
    assert np.allclose(pixels[..., 0], unit * 255, atol=0.01)
    fits = Image.fromarray((unit * 65535).astype(np.int32))
    assert decode(saved(tmp_path / "i.tif", fits)).pixels.max() == 255
    for name, values, said in (
        ("long.tif", (unit * 70000).astype(np.int32), "0 to 65535"),
        ("minus.tif", (unit * -5).astype(np.int32), "0 to 65535"),
        ("wide.tif", unit * 200, "from 0 to 1"),
        ("nan.tif", unit * np.float32("nan"), "not finite"),
    ):
        with pytest.raises(ImageError, match=said):
            decode(saved(tmp_path / name, Image.fromarray(values)))


def test_tiff_pages_are_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(COLOUR), Image.fromarray(GREY), Image.fromarray(COLOUR[:6, :7])]
    path = tmp_path / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert picture_pages(path) == [0, 1, 2]
    for page, expected in enumerate(pages):
        assert np.array_equal(decode(path, page=page).pixels, np.asarray(expected.convert("RGB")))
    with pytest.raises(ImageError, match="page 4 was asked for, but the file has fewer"):
        decode(path, page=3)
    with pytest.raises(ImageError, match="page 2"):
        decode(saved(tmp_path / "a.png", pages[0]), page=1)
    ids = [entry.id for entry in ImageSet.from_folder(tmp_path)]
    assert ids == ["a.png", "pages.tif#page1", "pages.tif#page2", "pages.tif#page3"]
    read = ImageSet.from_folder(tmp_path)
    assert np.array_equal(read.read(3).pixels, COLOUR[:6, :7])
    assert read[1].group == read[3].group is not None
    assert read.sha256(1) != read.sha256(2)


def test_counting_pages_leaves_problems_to_decode(tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"II*\0\xff\xff")
    assert picture_pages(tmp_path / "bad.tif") == picture_pages(tmp_path / "no.tif") == [0]
    assert picture_pages(tmp_path) == [0]


def test_an_mpo_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")]
    path = tmp_path / "a.mpo"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert decode(path).pixels[8, 8, 0] > 240


def test_reduced_decoding_is_close_and_never_below(real_set: Callable[[str], Path]) -> None:
    path = real_set("shelf_detergent") / "reference"
    path = next(iter(sorted(path.glob("*.jpg"))))
    full = decode(path)
    assert full.size == (1280, 960)
    for reduce_to, short in (
        (961, 960),
        (960, 960),
        (480, 480),
        (479, 480),
        (241, 480),
        (100, 120),
    ):
        reduced = decode(path, reduce_to=reduce_to)
        assert reduced.size == full.size
        assert reduced.pixels.shape[0] == short
    small = np.asarray(Image.fromarray(full.pixels).resize((160, 120), Image.Resampling.BOX))
    assert np.abs(small.astype(int) - decode(path, reduce_to=120).pixels).mean() < 2


def test_odd_sizes_reduce_without_going_below(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (1001, 333)))
    picture = decode(path, reduce_to=160)
    assert picture.pixels.shape[:2] == (167, 501)
    assert picture.size == (1001, 333)


BAD: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "empty"),
    "text.jpg": (b"not an image at all, just text", "not an image in a supported format"),
    "eps.png": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an image in a supported",
    ),
    "huge.png": (png_header(40_000, 40_000), "40000 x 40000 pixels"),
    "small.png": (png_header(1, 1), "1 x 1 pixels"),
    "thin.png": (png_header(500, 1), "500 x 1 pixels"),
    "nothing.png": (png_header(20, 20), "damaged|truncated"),
    "start.png": (b"\x89PNG\r\n\x1a\n", "damaged|truncated"),
    "start.tif": (b"II*\0\x08\0\0\0", "damaged|truncated"),
    "start.bmp": (b"BM\0\0", "damaged|truncated"),
    "start.webp": (b"RIFF\x10\0\0\0WEBPVP8 ", "damaged|truncated"),
    "start.gif": (b"GIF89a\x05", "damaged|truncated"),
    "start.jp2": (b"\xff\x4f\xff\x51", "damaged|truncated"),
    "start.ppm": (b"P6 \n", "damaged|truncated"),
    "start.tga": (b"\0\0\2\0\0", "damaged|truncated"),
    "start.jpg": (b"\xff\xd8\xff\xe0", "damaged|truncated"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_one_sentence(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError, match=said) as caught:
        decode(path, name="set/" + name)
    assert caught.value.image == "set/" + name
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def huge_tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1),
            (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 4)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + struct.pack("<I", 0)


def test_pixel_limit_of_other_formats_comes_from_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(huge_tiff(40_000, 40_000))
    (tmp_path / "a.bmp").write_bytes(
        b"BM"
        + struct.pack("<IHHI", 99, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 40_000, 40_000, 1, 24, 0, 0, 0, 0, 0, 0)
    )
    (tmp_path / "a.ppm").write_bytes(b"P6 40000 40000 255\n")
    for path in tmp_path.iterdir():
        with pytest.raises(ImageError, match="40000 x 40000 pixels"):
            decode(path)


def test_large_images_within_the_limit_raise_no_pillow_warning(tmp_path: Path) -> None:
    # Above Pillow's own limits (89 and 178 million pixels), which would warn or refuse.
    before = Image.MAX_IMAGE_PIXELS
    image = Image.new("1", (13_400, 13_400))
    for name, options in (("a.png", {}), ("a.tif", {"compression": "group4"})):
        with pytest.raises(ImageError, match=r"truncated|damaged"):
            path = saved(tmp_path / name, image, **options)
            path.write_bytes(path.read_bytes()[:-40] if name == "a.png" else huge_tiff(13_400, 13_400))
            decode(path)
    assert before == Image.MAX_IMAGE_PIXELS


def test_truncated_files(tmp_path: Path, real_set: Callable[[str], Path]) -> None:
    jpeg = next((real_set("brick_cracks") / "train/good").glob("*.jpg")).read_bytes()
    image = Image.open(io.BytesIO(jpeg))
    for suffix in (".jpg", ".png", ".bmp", ".gif", ".webp", ".tif", ".jp2", ".tga"):
        path = tmp_path / f"a{suffix}"
        if suffix == ".jpg":
            path.write_bytes(jpeg)
        else:
            image.save(path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ImageError, match=r"truncated|damaged"):
            decode(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animations_are_refused(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animation"):
        decode(path)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="cannot be opened"):
        decode("a\0b.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        decode(tmp_path / "pipe.png")
    locked = saved(tmp_path / "locked.png", Image.fromarray(COLOUR))
    locked.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(ImageError, match="permission"):
            decode(locked)


def encoded(suffix: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, format=Image.registered_extensions()[suffix])
    return buffer.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".png", ".jpg", ".tif", ".gif", ".webp", ".bmp", ".tga", ".ppm", ".jp2"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
    kept=st.floats(0.3, 1),
)
def test_damage_gives_a_picture_or_an_image_error(
    tmp_path: Path, suffix: str, changes: list[tuple[float, int]], kept: float
) -> None:
    content = bytearray(encoded(suffix))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content[: int(kept * len(content))])
    try:
        assert decode(path).pixels.shape[2] == 3
    except ImageError as error:
        assert "\n" not in str(error)


def test_threads_decode_independently(real_set: Callable[[str], Path]) -> None:
    paths = sorted((real_set("brick_cracks") / "train/good").glob("*.jpg"))[:16]
    alone = [decode(path).pixels for path in paths]
    together: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: together.update({i: decode(paths[i]).pixels}))
        for i in range(len(paths))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(alone[i], together[i]) for i in range(len(paths)))


def test_suffixes_are_lower_case() -> None:
    assert {".png", ".jpg", ".tiff"} <= SUFFIXES
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)
    assert not SUFFIXES & {".eps", ".pdf", ".csv"}

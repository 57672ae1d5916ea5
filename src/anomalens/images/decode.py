"""Image files to PIXELS, through Pillow, with every failure as one sentence.

Pillow's own door, `Image.open`, is not used: it tries dozens of formats (some start external
programs or carry scripts), and its guard against huge images is a global of the process that also
issues warnings, which cannot be silenced per thread. Instead the format is recognised here by its
first bytes, and only the readers named in `_READERS` are called. That keeps decoding thread-safe
and leaves Pillow untouched for other users of it in the process.

Colour profiles are not applied: a camera that fits and the same camera that checks agree anyway.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from anomalens.errors import ImageError
from anomalens.images import other_kinds
from anomalens.images.arrays import MAX_PIXELS, Pixels, over_white, size_problem, unit_floats
from anomalens.images.deep_png import joined, lower_bytes
from anomalens.images.tiff import STARTS, declared_levels, read_deep, zero_is_white

__all__ = ["MAX_PIXELS", "SUFFIXES", "Picture", "decode", "decode_bytes"]

# fmt: off
SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff",
    ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".jp2", ".j2k", ".jpx", ".jpf", ".avif",
}) | other_kinds.SUFFIXES
# fmt: on
"""Lower-case suffixes that are looked for in folders: of pictures that are read, or at least known."""

# JpegImageFile, not Pillow's jpeg_factory: an MPO's further frames (previews, a second eye) are
# not images to check, so an MPO is read as the JPEG that it starts with.
_READERS: tuple[tuple[tuple[bytes, ...], Callable[[Any], ImageFile.ImageFile]], ...] = (
    ((b"\x89PNG\r\n\x1a\n",), PngImagePlugin.PngImageFile),
    ((b"\xff\xd8\xff",), JpegImagePlugin.JpegImageFile),
    ((b"BM",), BmpImagePlugin.BmpImageFile),
    (STARTS, TiffImagePlugin.TiffImageFile),
    ((b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    (tuple(b"P" + kind for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"f")),
     PpmImagePlugin.PpmImageFile),
    ((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"), Jpeg2KImagePlugin.Jpeg2KImageFile),
)  # fmt: skip

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded image.

    Attributes
    ----------
    pixels : ndarray
        PIXELS, `uint8` or `float32` `[h, w, 3]`, 0-255, upright.
    size : (int, int)
        Width and height of the original, upright, in pixels. `pixels` is smaller when a JPEG was
        decoded at reduced size.
    """

    pixels: Pixels
    size: tuple[int, int]


def decode(
    path: str | os.PathLike[str],
    *,
    page: int = 0,
    reduce_to: int | None = None,
    name: str | None = None,
) -> Picture:
    """Decode one image file.

    Parameters
    ----------
    path : path-like
        PNG, JPEG, BMP, TIFF, WebP, AVIF, GIF, PPM family, TGA or JPEG 2000; told by content, not name.
    page : int
        Page of a multi-page TIFF, from 0.
    reduce_to : int, optional
        A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as its short side keeps at
        least this many pixels. Much faster for large photographs.
    name : str, optional
        What to call the image in errors; the path when left out.

    Returns
    -------
    Picture

    Raises
    ------
    ImageError
        Whatever is wrong with the file; the one exception that leaves this function.
    """
    name = os.fspath(path) if name is None else name
    with _open_file(path, name) as file:
        return _decode_file(file, Path(path).suffix.lower(), page, reduce_to, name)


def decode_bytes(
    data: bytes, *, name: str, suffix: str = "", page: int = 0, reduce_to: int | None = None
) -> Picture:
    """Decode one image file's content; like `decode` in everything else."""
    return _decode_file(io.BytesIO(data), suffix, page, reduce_to, name)


def _decode_file(file: IO[bytes], suffix: str, page: int, reduce_to: int | None, name: str) -> Picture:
    try:
        tiff = file.read(4).startswith(STARTS) and suffix not in other_kinds.SUFFIXES
        if tiff and (pixels := read_deep(file, page, name)) is not None:
            return Picture(pixels, (pixels.shape[1], pixels.shape[0]))
        file.seek(0)
        with _recognise(file, suffix, name) as image:
            return _decode(image, page, reduce_to, name)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(name, "there is not enough memory to decode it; resize or tile it.") from None
    # Pillow's readers raise nearly every kind of exception on damaged files.
    except Exception as error:
        raise ImageError(name, _damage(error)) from error


@contextmanager
def open_image(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """A file's image as Pillow loads it, for those who read more of it than what it shows.

    Raises
    ------
    ImageError
        As `decode`.
    """
    name = os.fspath(path)
    try:
        with _open_file(path, name) as file, _recognise(file, Path(path).suffix.lower(), name) as image:
            problem = size_problem(*image.size)
            if problem is not None:
                raise ImageError(name, problem)
            image.load()
            yield image
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(name, _damage(error)) from error


def _open_file(path: str | os.PathLike[str], name: str) -> IO[bytes]:
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(name, "it is a folder, not an image file; give the files inside it.")
        if not stat.S_ISREG(mode):
            raise ImageError(name, "it is not a regular file; copy the image to disk first.")
        return Path(path).open("rb")
    except FileNotFoundError:
        raise ImageError(name, "there is no such file; check the path.") from None
    except PermissionError:
        raise ImageError(name, "permission to read the file was refused; change its permissions.") from None
    except (OSError, ValueError) as error:
        raise ImageError(name, f"the file cannot be opened ({_reason(error)}).") from None


def _recognise(file: IO[bytes], suffix: str, name: str) -> ImageFile.ImageFile:
    start = file.read(132)
    if not start:
        raise ImageError(name, "the file is empty (0 bytes); copy or export it again.")
    file.seek(0)
    if (other := other_kinds.problem(start, suffix)) is not None:  # raw files look like TIFF
        raise ImageError(name, other)
    for starts, reader in _READERS:
        if start.startswith(starts):
            return reader(file)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile(file)
    if start[4:12] in (b"ftypavif", b"ftypavis"):
        if not features.check("avif"):
            raise ImageError(name, "it is an AVIF picture and this Pillow reads none; export it as PNG.")
        from PIL import AvifImagePlugin

        return AvifImagePlugin.AvifImageFile(file)
    # TGA has no signature, so only the name can say that a file is one.
    if suffix == ".tga":
        return TgaImagePlugin.TgaImageFile(file)
    raise ImageError(
        name,
        "it is not an image in a supported format; give PNG, JPEG, TIFF, BMP, WebP, AVIF, GIF, PPM, TGA or "
        "JPEG 2000.",
    )


def _decode(image: ImageFile.ImageFile, page: int, reduce_to: int | None, name: str) -> Picture:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _seek_page(image, page, name)
    elif page:
        raise ImageError(
            name, f"page {page + 1} was asked for, but only TIFF files have pages; ask for none."
        )
    problem = size_problem(*image.size)
    if problem is not None:
        raise ImageError(name, problem)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        if getattr(image, "is_animated", False):
            raise ImageError(name, "it is an animation; export the frames that matter as single images.")
        return _upright(image, reduce_to, name)
    _load_tiff(image)
    pixels = _to_pixels(image, name)
    return Picture(pixels, (pixels.shape[1], pixels.shape[0]))


def _seek_page(image: TiffImagePlugin.TiffImageFile, page: int, name: str) -> None:
    try:
        image.seek(page)
    except EOFError:
        raise ImageError(
            name, f"page {page + 1} was asked for, but the file has fewer; ask for another."
        ) from None


def _load_tiff(image: TiffImagePlugin.TiffImageFile) -> None:
    # Pillow's TIFF reader checks its own pixel limit (with a warning) just before it allocates.
    # The size is already checked here, so the buffer is given to it: nothing global changes.
    size = getattr(image, "_tile_size", image.size)
    image.im = Image.new(image.mode, size).im
    image.load()


def _upright(image: ImageFile.ImageFile, reduce_to: int | None, name: str) -> Picture:
    header_size = image.size
    if reduce_to is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
        # draft() divides by the largest of 1, 2, 4, 8 that keeps both sides at least this long.
        image.draft(None, (max(1, reduce_to), max(1, reduce_to)))
    lower = lower_bytes(image) if isinstance(image, PngImagePlugin.PngImageFile) else None
    image.load()
    reduced = image.size != header_size
    # Read after loading: a PNG may carry its EXIF behind the pixels.
    orientation = _orientation(image)
    if lower is not None:
        pixels = _turned(joined(np.asarray(image), lower), _TURNS.get(orientation))
        pixels = over_white(pixels) if pixels.shape[2] == 4 else pixels
        return Picture(pixels, (pixels.shape[1], pixels.shape[0]))
    pixels = _to_pixels(image, name, _TURNS.get(orientation))
    if reduced:
        size = header_size[::-1] if orientation >= 5 else header_size
        return Picture(pixels, size)
    return Picture(pixels, (pixels.shape[1], pixels.shape[0]))


def _orientation(image: Image.Image) -> int:
    # Damaged EXIF next to sound pixels is common (editors, phones): such a photograph is usable.
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _turned(values: np.ndarray, turn: Image.Transpose | None) -> np.ndarray:
    """Channels of floats, each turned as Pillow turns."""
    if turn is None:
        return values
    channels = [np.asarray(Image.fromarray(one).transpose(turn)) for one in np.moveaxis(values, 2, 0)]
    return np.stack(channels, axis=2)


def _to_pixels(image: Image.Image, name: str, turn: Image.Transpose | None = None) -> Pixels:
    """Convert a loaded image of any mode to PIXELS, turned upright."""
    if image.mode.startswith("I") or image.mode == "F":
        deep = _deep_values(image, name)
        return np.repeat(_turned(deep[..., None], turn), 3, axis=2)
    if image.has_transparency_data:
        # Not straight to RGB: that would show the hidden colours of transparent pixels.
        upright = image.convert("RGBA")
        upright = upright if turn is None else upright.transpose(turn)
        return over_white(np.asarray(upright))
    upright = image if image.mode == "RGB" else image.convert("RGB")
    upright = upright if turn is None else upright.transpose(turn)
    return np.array(upright)


def _deep_values(image: Image.Image, name: str) -> np.ndarray:
    """Values of a grey image deeper than 8 bits, as `float32 [h, w]` on the 0-255 scale."""
    values = np.asarray(image)
    if image.mode == "F":
        return unit_floats(values, name)
    if image.mode == "I":
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise ImageError(
                name,
                f"its integer values go from {low} to {high} and 0 to 65535 is needed; save it with 16 bits.",
            )
    levels = 65535.0
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        levels = declared_levels(image)
        if zero_is_white(image):  # Pillow turns 8 bits only
            values = levels - np.minimum(values, levels)
    scaled: np.ndarray = np.minimum(values.astype(np.float32) / np.float32(levels / 255), np.float32(255))
    return scaled


def _damage(error: Exception) -> str:
    reason = _reason(error)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "it declares more pixels than are accepted; resize or tile it."
    if isinstance(error, EOFError) or "truncated" in reason.lower():
        return "the file is truncated; copy or export it again."
    return f"the file is damaged and cannot be decoded ({reason}); copy or export it again."


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = " ".join(text.split())[:120]
    return line.rstrip(".") or type(error).__name__

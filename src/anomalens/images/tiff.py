"""TIFF, where its kinds of pages go beyond what Pillow reads rightly.

Pillow cuts 16-bit colour to 8 bits, reads uncompressed planes of it scrambled, and calls floating-point
colour and float64 damaged. tifffile, which scikit-image brings along, reads those; kinds that are
neither grey nor colour are named here. Compressed pages that tifffile needs another package for are left
to Pillow.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError
from anomalens.images.arrays import Pixels, as_pixels, size_problem

STARTS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: a smaller copy, and a mask, of another page
_GREY, _INVERTED, _COLOUR, _PALETTE, _INKS, _BAYER = 1, 0, 2, 3, 5, 32803
_DEEPEST: Final = 65535.0
_BITS: Final = (1, 2, 4, 8, 12, 16, 32, 64)
_MAX_SAMPLE: Final = 281
_PHOTOMETRIC: Final = 262


def picture_pages(path: str | os.PathLike[str]) -> list[int]:
    """The pages of a file that are pictures, from 0: reduced copies and masks of others are none.

    The first alone for any other file, and for one that cannot be read: `decode` says why.
    """
    import tifffile

    try:
        with Path(path).open("rb") as file:
            if not file.read(4).startswith(STARTS):
                return [0]
            file.seek(0)
            with tifffile.TiffFile(file) as tiff:
                kinds = [int(page.aspage().subfiletype) for page in tiff.pages]
    except Exception:
        return [0]
    return [i for i, kind in enumerate(kinds) if not kind & (_REDUCED | _MASK)] or [0]


def read_deep(file: IO[bytes], page: int, name: str) -> Pixels | None:
    """A page that Pillow does not read rightly, as PIXELS; None where Pillow does.

    Raises
    ------
    ImageError
        A kind of page that is no picture in grey or colour, named.
    """
    import tifffile

    file.seek(0)
    try:
        tiff = tifffile.TiffFile(file)
        if page >= len(tiff.pages):
            return None
        found: Any = tiff.pages[page].aspage()
    except Exception:
        return None  # Pillow says what is wrong
    finally:
        file.seek(0)
    _refuse_stack(tiff, found, name)
    if not _is_deep(found, name):
        return None
    problem = size_problem(found.imagewidth, found.imagelength)
    if problem is not None:
        raise ImageError(name, problem)
    try:
        values = found.asarray()
    except (KeyError, NotImplementedError, ImportError, ValueError):
        return None  # a compression of which Pillow keeps 8 bits
    finally:
        file.seek(0)
    return _pixels(found, np.asarray(values), name)


def declared_levels(image: Any) -> float:
    """What the values of a 16-bit grey page go up to, by the tags that Pillow has read: 4095 of 12 bits."""
    tags = image.tag_v2
    bits = int((tags.get(258) or (16,))[0])
    top = tags.get(_MAX_SAMPLE)
    top = int(top[0] if isinstance(top, tuple) else top) if top else 0
    if 8 < bits < 16:
        return float(2**bits - 1)
    return float(top) if 255 < top < _DEEPEST and (top + 1) & top == 0 else _DEEPEST


def zero_is_white(image: Any) -> bool:
    """Whether the tags that Pillow has read say that 0 is white."""
    return bool(image.tag_v2.get(_PHOTOMETRIC, _GREY) == _INVERTED)


def _refuse_stack(tiff: Any, page: Any, name: str) -> None:
    if tiff.is_imagej and len(tiff.pages) == 1 and (n := int(tiff.imagej_metadata.get("images", 1))) > 1:
        raise ImageError(
            name,
            f"it is a stack of {n} planes of which only the first has a page of its own; save the planes "
            "that matter as pages or single files.",
        )


def _is_deep(page: Any, name: str) -> bool:
    """Whether a page has more than Pillow reads rightly; refuses what is no picture in grey or colour."""
    n, bits, kind = page.samplesperpixel, page.bitspersample, int(page.photometric)
    extra = [int(one) for one in page.extrasamples]
    if kind == _BAYER:
        raise ImageError(name, "it is raw of a colour sensor (Bayer), one colour a pixel; develop it to RGB.")
    if not isinstance(bits, int):
        raise ImageError(name, f"its channels have {bits} bits; save it with 8 or 16 bits in each.")
    if bits not in _BITS:
        raise ImageError(name, f"its values have {bits} bits; save it with 8 or 16 bits.")
    if n - len(extra) not in (1, 3, 4) or (len(extra) > 1 and kind in (_GREY, _INVERTED)):
        raise ImageError(name, f"it has {n} channels; save grey, RGB, or either with alpha.")
    if page.dtype is not None and page.dtype.kind == "i" and page.dtype.itemsize < 4:
        raise ImageError(
            name,
            f"its values are signed ({page.dtype.name}), so their range is unknown; save them unsigned.",
        )
    if page.dtype is not None and page.dtype.kind not in "iufb":
        raise ImageError(name, f"its values are {page.dtype.name}; save 8 or 16 bits, or floats from 0 to 1.")
    if page.dtype is not None and page.dtype.kind == "f":
        return n > 1 or bits != 32
    return (bits > 8 and n > 1) or bool(page.dtype == np.uint32)


def _pixels(page: Any, values: NDArray[Any], name: str) -> Pixels:
    if int(page.planarconfig) == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if values.dtype == np.uint32:
        if int(values.max()) > _DEEPEST:
            raise ImageError(name, f"its values go up to {int(values.max())}; save it with 16 bits.")
        values = values.astype(np.uint16)
    kind, alpha = int(page.photometric), len(page.extrasamples) == 1
    if kind == _INKS and values.dtype == np.uint16:
        ink = values[..., :4] / np.float32(_DEEPEST)
        values = ((1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(np.float32)
    elif kind == _INVERTED and values.dtype == np.uint16:
        values = np.concatenate([65535 - values[..., :1], values[..., 1:]], -1)
    if alpha and values.shape[-1] == 2:
        rgba = np.concatenate([np.repeat(values[..., :1], 3, -1), values[..., 1:]], -1)
        values = rgba
    if values.ndim == 3 and values.shape[-1] == 4 and page.extrasamples and int(page.extrasamples[0]) == 0:
        values = values[..., :3]  # a fourth channel of no stated meaning is no alpha
    return _upright(as_pixels(np.ascontiguousarray(values), name), page)


def _upright(pixels: Pixels, page: Any) -> Pixels:
    tag = page.tags.get(274)
    turn = int(tag.value) if tag is not None else 1
    if turn >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
        turn = {5: 1, 6: 2, 7: 3, 8: 4}.get(turn, 1)
    if turn in (2, 3):
        pixels = pixels[:, ::-1]
    if turn in (3, 4):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)

"""PIXELS, the one form in which images live in memory, and how arrays become it.

PIXELS are `uint8 [h, w, 3]` RGB when the source has 8 bits a channel, else `float32 [h, w, 3]` on
the same 0-255 scale. One scale for both means that nothing downstream asks how deep a camera was.
Nothing is guessed: an array whose layout or range could mean two things is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError, ImageSetError

Pixels = NDArray[np.uint8 | np.float32]

MAX_PIXELS = 200_000_000
"""Images with more pixels are refused before they are decoded (about 600 MB as 8-bit RGB)."""

MIN_SIDE = 2
"""Shortest side in pixels that is accepted as an image."""

CHANNELS = (1, 3, 4)


def size_problem(width: int, height: int) -> str | None:
    """Say why an image of this size (pixels) cannot be used, or None when it can."""
    if width * height > MAX_PIXELS:
        return (
            f"it has {width} x {height} pixels and at most {MAX_PIXELS // 10**6} million are "
            "accepted; resize or tile it."
        )
    if min(width, height) < MIN_SIDE:
        return (
            f"it has {width} x {height} pixels and at least {MIN_SIDE} x {MIN_SIDE} are needed; "
            "use the original photograph."
        )
    return None


def as_pixels(array: object, name: str) -> Pixels:
    """Turn one in-memory image into PIXELS.

    Parameters
    ----------
    array : ndarray
        `uint8`, `uint16`, or `float16/32/64` with values from 0 to 1; `[h, w]`, `[h, w, 1]`
        (grey), `[h, w, 3]` (RGB) or `[h, w, 4]` (RGB and alpha, composited over white).
    name : str
        What to call the image in errors.

    Returns
    -------
    ndarray
        `uint8` or `float32` `[h, w, 3]`, values 0-255.

    Raises
    ------
    ImageError
        For every other type, shape or range.
    """
    if not isinstance(array, np.ndarray):
        raise ImageError(
            name, f"a NumPy array is needed, not {type(array).__name__}; use numpy.asarray(image)."
        )
    _check_shape(array, name)
    if array.dtype == np.uint8:
        return _to_rgb(array)
    if array.dtype == np.uint16:
        return _to_rgb((array / np.float32(257)).astype(np.float32))
    if array.dtype in (np.float16, np.float32, np.float64):
        return _to_rgb(unit_floats(array, name))
    raise ImageError(
        name,
        f"values of type {array.dtype} have no known range; convert to uint8 (0-255), "
        "uint16 (0-65535) or float (0-1).",
    )


def unit_floats(array: NDArray[np.floating], name: str) -> NDArray[np.float32]:
    """Bring floating-point values from 0-1 to 0-255, or refuse them (`ImageError`)."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(name, "some values are not finite; replace NaN and infinity first.")
    if low < 0 or high > 1:
        raise ImageError(
            name,
            f"floating-point values must lie from 0 to 1, but these go from {low:g} to {high:g}; "
            "divide by the largest value the source can hold.",
        )
    scaled: NDArray[np.float32] = array.astype(np.float32) * np.float32(255)
    return scaled


def over_white(rgba: Pixels) -> Pixels:
    """Composite `[h, w, 4]` RGBA on the 0-255 scale over white."""
    if rgba.dtype == np.uint8:
        # Exact in 16 bits: the largest sum is 255 * 255 + 127.
        colour = rgba[..., :3].astype(np.uint16)
        alpha = rgba[..., 3:].astype(np.uint16)
        return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    share = rgba[..., 3:] / np.float32(255)
    blended: Pixels = (rgba[..., :3] * share + 255 * (1 - share)).astype(np.float32)
    return blended


def split_stack(arrays: object) -> list[np.ndarray]:
    """Split what was given as "some arrays" into single images, without copying.

    Parameters
    ----------
    arrays : ndarray or sequence of ndarray
        `[n, h, w]` or `[n, h, w, 1|3|4]`, or a list or tuple of single images.

    Raises
    ------
    ImageSetError
        When the axes could mean two things (`[a, b, 3]` is one colour image or many narrow grey
        ones), are channels-first, or nothing is inside.
    """
    if isinstance(arrays, np.ndarray):
        return _split_array(arrays)
    if not isinstance(arrays, Sequence) or isinstance(arrays, str | bytes):
        raise ImageSetError(
            f"Images in memory must be an array or a list of arrays, not {type(arrays).__name__}; "
            "use numpy.asarray(image) on each."
        )
    if not arrays:
        raise ImageSetError("The list of arrays is empty; give at least one image.")
    for place, one in enumerate(arrays):
        if not isinstance(one, np.ndarray):
            raise ImageSetError(
                f"Item {place} of the list is {type(one).__name__}, not an array; "
                "use numpy.asarray(image) on each."
            )
    return list(arrays)


def _split_array(stack: np.ndarray) -> list[np.ndarray]:
    shape = _shape_text(stack)
    if stack.ndim == 2:
        raise ImageSetError(
            f"An array of shape {shape} is one grey image, not a stack; give [array] in a list."
        )
    if stack.ndim not in (3, 4):
        raise ImageSetError(
            f"An array of shape {shape} is no stack of images; give [n, h, w] or [n, h, w, 3]."
        )
    if stack.shape[0] == 0:
        raise ImageSetError(f"A stack of shape {shape} holds no image; give at least one.")
    if stack.ndim == 3 and stack.shape[-1] in CHANNELS:
        raise ImageSetError(
            f"An array of shape {shape} may be one colour image or {stack.shape[0]} narrow grey "
            "ones; give a list of arrays."
        )
    if stack.ndim == 4 and stack.shape[-1] not in CHANNELS:
        hint = "use numpy.moveaxis(stack, 1, -1)" if stack.shape[1] in CHANNELS else "give [n, h, w, 3]"
        raise ImageSetError(f"A stack of shape {shape} must have its 1, 3 or 4 channels last; {hint}.")
    return list(stack)


def _check_shape(array: np.ndarray, name: str) -> None:
    shape = _shape_text(array)
    if array.size == 0:
        raise ImageError(name, f"an array of shape {shape} holds no pixel; give a real image.")
    if array.ndim not in (2, 3):
        raise ImageError(name, f"shape {shape} is no image; give [h, w], [h, w, 3] or [h, w, 4].")
    if array.ndim == 3 and array.shape[2] not in CHANNELS:
        if array.shape[0] in CHANNELS:
            raise ImageError(
                name,
                f"shape {shape} looks like channels first; use numpy.moveaxis(array, 0, -1).",
            )
        raise ImageError(
            name,
            f"shape {shape} has {array.shape[2]} channels; give 1 (grey), 3 (RGB) or 4 (RGBA).",
        )
    problem = size_problem(array.shape[1], array.shape[0])
    if problem is not None:
        raise ImageError(name, problem)


def _shape_text(array: np.ndarray) -> str:
    return "[" + ", ".join(str(side) for side in array.shape) + "]"


def _to_rgb(array: Pixels) -> Pixels:
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] == 4:
        return over_white(array)
    rgb: Pixels = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    contiguous: Pixels = np.ascontiguousarray(rgb)
    return contiguous

"""Small pictures of normal images in a model file, to show beside an image that is unlike them.

Only where they were asked for: a model file without them holds no picture, and its maker may not want to
pass pictures on. They are small (96 px) and few (2000 at most, about 3 kB each).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalens.bundle import Bundle
from anomalens.errors import SettingError
from anomalens.inspector.training_set import TrainingSet

SIDE: Final = 96
MAX_PICTURES: Final = 2000
MAX_BYTES: Final = 64_000  # of one: a JPEG of 96 × 96 pixels has fewer, whatever it shows
ARRAY: Final = "inspector.thumbnails"
_QUALITY: Final = 80


def collect(training: TrainingSet, most: int, *, seed: int) -> dict[str, bytes]:
    """JPEGs of at most `most` images by id, a random choice of more.

    Raises
    ------
    SettingError
        `most` is not from 0 to 2000.
    """
    if not 0 <= most <= MAX_PICTURES:
        raise SettingError(f"A model file keeps 0 to {MAX_PICTURES} thumbnails, not {most}.")
    n = len(training.images)
    rows = np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).permutation(n)[:most])
    names = training.names
    return {names[row]: jpeg(training.images.read(int(row), reduce_to=SIDE).pixels) for row in rows}


def packed(thumbnails: Mapping[str, bytes]) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """What of them goes into the card, and the array that goes into the file."""
    if not thumbnails:
        return {}, {}
    card = {"ids": list(thumbnails), "bytes": [len(data) for data in thumbnails.values()]}
    return card, {ARRAY: np.frombuffer(b"".join(thumbnails.values()), np.uint8)}


def thumbnails_of(bundle: Bundle) -> tuple[dict[str, bytes], dict[str, NDArray[Any]]]:
    """What `packed` gave, and the arrays that are the detector's; ValueError where the former is damaged."""
    arrays = dict(bundle.arrays)
    return _unpacked(bundle.card.get("thumbnails", {}), arrays.pop(ARRAY, None)), arrays


def _unpacked(card: Mapping[str, Any], array: NDArray[Any] | None) -> dict[str, bytes]:
    if not card and array is None:
        return {}
    ids, sizes = card["ids"], card["bytes"]
    if array is None or array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError("the thumbnails are no bytes")
    good = len(ids) == len(sizes) <= MAX_PICTURES and all(
        isinstance(name, str) and type(size) is int and 0 < size <= MAX_BYTES
        for name, size in zip(ids, sizes, strict=True)
    )
    if not good or sum(sizes) != len(array):
        raise ValueError("the list of thumbnails does not fit their bytes")
    ends = np.cumsum(sizes)
    data = array.tobytes()
    return {name: data[end - size : end] for name, size, end in zip(ids, sizes, ends, strict=True)}


def decoded(data: bytes) -> Image.Image | None:
    """The picture of a thumbnail, or None where it is no small JPEG: model files come from anywhere."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if max(image.size) > SIDE:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None


def jpeg(pixels: NDArray[Any], side: int = SIDE) -> bytes:
    """A JPEG of pixels [h, w, 3] on the scale 0–255, no side of it longer than `side`."""
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

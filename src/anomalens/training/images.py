"""Prepared images held for training: in memory up to a budget, beyond it in a temporary file."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.images.augment import Augmentation
from anomalens.progress import Progress

IN_MEMORY: Final = 10**9  # bytes
_BLOCK: Final = 8  # pixels, of coarse noise


Held = NDArray[Any]  # uint8 or float32 [n, h, w, 3]


class Pictures(Protocol):
    """What is read: prepared images of one size (height, width), and which show the same thing."""

    @property
    def groups(self) -> NDArray[np.int64]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Pixels]: ...


class Batches(Protocol):
    """What the loop trains on: images, or features of them."""

    def batches(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        order: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
    ) -> Iterator[Any]:
        """Batches that the learner's losses take, and that have `to(device)`; see `HeldImages.batches`."""


class HeldImages:
    """All training images as one array [n, h, w, 3], uint8 where all are, else float32."""

    def __init__(self, pixels: Held) -> None:
        self.pixels = pixels

    @classmethod
    def collect(cls, images: Pictures, progress: Progress, in_memory: int = IN_MEMORY) -> HeldImages:
        """Read every image once; more bytes than may be in memory go to a temporary file."""
        n = len(images)
        height, width = images.size
        held: Held | None = None
        for row, image in enumerate(progress(images, label="reading images", total=n)):
            if held is None:
                held = room((n, height, width, 3), np.dtype(image.dtype), in_memory)
            elif held.dtype == np.uint8 and image.dtype != np.uint8:
                wider = room(held.shape, np.dtype(np.float32), in_memory)
                wider[:row] = held[:row]
                held = wider
            held[row] = image
        assert held is not None, "a training set has at least one image"
        return cls(held)

    def __len__(self) -> int:
        return len(self.pixels)

    def hash(self) -> str:
        """A hash of the type, the shape and every value."""
        kept = hashlib.sha256(f"{self.pixels.dtype} {self.pixels.shape}".encode())
        for image in self.pixels:
            kept.update(np.ascontiguousarray(image).data)
        return kept.hexdigest()

    def tensor(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Those images as float32 [n, 3, h, w], 0–1."""
        return _to_tensor(self.pixels[rows])

    def noise(self) -> torch.Tensor:
        """Images that are surely not normal, as `tensor` gives them."""
        return _to_tensor(noise_pixels(self.pixels))

    def batches(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        order: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
    ) -> Iterator[torch.Tensor]:
        """Float32 [b, 3, h, w], 0–1; in random order and changed where a generator is given."""
        for part in parts(rows, batch_size, order):
            chosen = self.pixels[part]
            if augmentation is not None and order is not None:
                chosen = np.stack([augmentation.apply(image, order) for image in chosen])
            yield _to_tensor(chosen)


def _to_tensor(pixels: Held) -> torch.Tensor:
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
    return torch.from_numpy(planes).div_(255)


def noise_pixels(like: Held) -> Held:
    """Two images of noise, fine and in blocks, of the size and type of those [n, h, w, 3]: never normal."""
    _, height, width, channels = like.shape
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (height, width, channels))
    rows, columns = (np.arange(side) // _BLOCK for side in (height, width))
    coarse = fine[rows][:, columns]
    return np.stack([fine, coarse]).astype(like.dtype)


def parts(
    rows: NDArray[np.int64], batch_size: int, order: np.random.Generator | None
) -> Iterator[NDArray[np.int64]]:
    """The rows of each batch; shuffled for training where a generator is given.

    Batch norm compares images, so none trains alone: a last one is left out of its epoch, and one that is all
    there is comes twice.
    """
    if order is not None:
        rows = order.permutation(rows)
        rows = np.repeat(rows, 2) if len(rows) == 1 else rows
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        if order is None or len(part) > 1:
            yield part


def room(shape: tuple[int, ...], dtype: np.dtype[Any], in_memory: int = IN_MEMORY) -> Held:
    """An array in memory, or of more bytes in a temporary file; SettingError where the disk is full."""
    size = math.prod(shape) * dtype.itemsize
    if size <= in_memory:
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < size:  # the system would kill the process half-way
        raise SettingError(
            f"Training needs {size / 1e9:.1f} GB in {folder} and there is less; name a folder with room in "
            "the environment variable TMPDIR, or give fewer or smaller images."
        )
    with tempfile.TemporaryFile() as file:  # without a name; the array keeps what is in it
        return np.memmap(file, dtype, "w+", shape=shape)

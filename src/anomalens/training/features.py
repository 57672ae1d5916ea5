"""Features of a frozen network, computed once and held for training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anomalens.errors import BackboneError
from anomalens.images.arrays import Pixels
from anomalens.images.augment import Augmentation
from anomalens.progress import Progress
from anomalens.training.images import HeldImages, noise_pixels, parts, room

_LARGEST = float(np.finfo(np.float16).max)

Floats = NDArray[np.float32]
Scaling = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Examples:
    """A batch.

    Attributes
    ----------
    features : tuple of float32 [b, …]
        One for each output of the frozen network.
    """

    features: tuple[torch.Tensor, ...]

    def to(self, device: torch.device) -> Examples:
        return Examples(tuple(values.to(device) for values in self.features))


class HeldFeatures(HeldImages):
    """All training images and their features, as float16; each array in memory up to 1 GB (`room`).

    Parameters
    ----------
    pixels : uint8 or float32 [n, h, w, 3]
    features : sequence of float16 [n, …]
    identity : bytes
        A hash of what computed them, for checkpoints.
    scaling : (mean, std), 3 numbers each
        How the frozen network wants images.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        features: Sequence[NDArray[np.float16]],
        *,
        identity: bytes,
        scaling: Scaling,
    ) -> None:
        super().__init__(pixels)
        self.features = tuple(features)
        self._identity = identity
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in scaling)

    @classmethod
    def read(
        cls,
        images: HeldImages,
        network: Callable[[Pixels], Sequence[Floats]],
        *,
        identity: bytes,
        scaling: Scaling,
        progress: Progress,
    ) -> HeldFeatures:
        """Run the network once on every image."""
        held: list[NDArray[np.float16]] = []
        n = len(images)
        for row, image in enumerate(progress(images.pixels, label="reading features", total=n)):
            outputs = network(image)
            if not held:
                held = [room((n, *values.shape), np.dtype(np.float16)) for values in outputs]
            for array, values in zip(held, outputs, strict=True):
                if np.isnan(values).any():
                    raise BackboneError(
                        "The backbone gave features that are no numbers; use another backbone, layers or "
                        "precision."
                    )
                array[row] = np.clip(values, -_LARGEST, _LARGEST)
        return cls(images.pixels, held, identity=identity, scaling=scaling)

    def hash(self) -> str:
        """A hash of the images and of what computes the features."""
        return hashlib.sha256(super().hash().encode() + self._identity).hexdigest()

    def tensor(self, rows: NDArray[np.int64]) -> Examples:
        """Those images as one batch."""
        return Examples(tuple(torch.from_numpy(values[rows].astype(np.float32)) for values in self.features))

    def scaled(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Images as float32 [n, 3, h, w], as the frozen network takes them."""
        return self._scaled(self.pixels[rows])

    def scaled_noise(self) -> torch.Tensor:
        """Images that are surely not normal, as `scaled` gives them."""
        return self._scaled(noise_pixels(self.pixels))

    def _scaled(self, pixels: NDArray[Any]) -> torch.Tensor:
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32))
        return planes.sub_(self._mean).div_(self._std)

    def batches(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        order: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
    ) -> Iterator[Examples]:
        """As of images; what is computed once cannot be augmented."""
        for part in parts(rows, batch_size, order):
            yield self.tensor(part)

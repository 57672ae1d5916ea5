"""Features of an image and of its mirror image, averaged: which way things face no longer counts.

For images whose mirror images are just as normal. Costs the network twice an image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.features.extractor import Extractor
from anomalens.images.arrays import Pixels


class Mirrored:
    """Another extractor's features, averaged over left and right."""

    def __init__(self, inner: Extractor) -> None:
        self._inner = inner
        self.groups, self.graphs = inner.groups, inner.graphs

    def __call__(self, image: Pixels) -> NDArray[np.float32]:
        total = self._inner(image) + self._inner(np.ascontiguousarray(image[:, ::-1]))
        return np.asarray(total * np.float32(0.5), np.float32)

    def numbers(self) -> dict[str, Any]:
        return {**self._inner.numbers(), "mirror": True}

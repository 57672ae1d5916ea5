"""Handcrafted texture features: no network, and each group has a name that a person can read.

Local binary patterns (Ojala et al. 2002), properties of grey-level co-occurrence (Haralick et al. 1973),
energies of Gabor filters, a coarse histogram of oriented gradients (Dalal and Triggs 2005) and colour
histograms. All but HOG ignore where in the image something is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.features.extractor import FeatureGroup
from anomalens.images.arrays import Pixels
from anomalens.images.resample import luma

RADII: Final = (1, 2, 3)
DISTANCES: Final = (1, 3)
ANGLES: Final = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PROPERTIES: Final = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM")
LEVELS: Final = 32
FREQUENCIES: Final = (0.05, 0.1, 0.2, 0.4)  # cycles a pixel
ORIENTATIONS: Final = 4
HOG_CELLS: Final = 4
HOG_BINS: Final = 9
COLOUR_BINS: Final = 8
_POINTS: Final = 8
MIN_SIDE: Final = 16  # HOG's cells and the largest radius need some room

Floats = NDArray[np.float32]


class Texture:
    """Prepared image → handcrafted features [d].

    Parameters
    ----------
    size : (height, width)
        The prepared images' size; Gabor filters are made for it once.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        if min(size) < MIN_SIDE:
            raise ValueError(f"texture features need images of at least {MIN_SIDE} pixels")
        self._bank = _gabor_bank(size)
        parts = self._parts(np.zeros((*size, 3), np.float32))
        stops = np.cumsum([len(values) for values in parts.values()])
        self.groups = tuple(
            FeatureGroup(name, int(stop) - len(parts[name]), int(stop))
            for name, stop in zip(parts, stops, strict=True)
        )

    def __call__(self, image: Pixels) -> Floats:
        return np.concatenate(list(self._parts(image.astype(np.float32)).values())).astype(np.float32)

    def numbers(self) -> dict[str, Any]:
        return {"kind": "texture"}

    def graphs(self) -> dict[str, bytes]:
        return {}

    def _parts(self, image: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        grey = luma(image).astype(np.float64)
        whole = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
        parts = {f"local patterns, radius {radius}": _local_patterns(whole, radius) for radius in RADII}
        parts["co-occurrence"] = _co_occurrence(whole)
        parts["Gabor energy"] = self._gabor(grey)
        parts["gradient orientation"] = _orientations(grey)
        parts["colour"] = _colours(image)
        return parts

    def _gabor(self, grey: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean and deviation of the log magnitude of each filter's answer."""
        spectrum = np.fft.fft2(grey - grey.mean())
        answers = np.log1p(np.abs(np.fft.ifft2(spectrum * self._bank)))
        return np.concatenate([answers.mean((1, 2)), answers.std((1, 2))])


def _gabor_bank(size: tuple[int, int]) -> NDArray[np.float64]:
    """Gabor filters as Gaussians in the frequency domain [filters, h, w], an octave wide.

    One transform of the image serves all filters; the outside continues the image periodically.
    """
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None]
    bank = []
    for frequency in FREQUENCIES:
        for k in range(ORIENTATIONS):
            angle = np.pi * k / ORIENTATIONS
            u = fx * np.cos(angle) + fy * np.sin(angle)
            v = -fx * np.sin(angle) + fy * np.cos(angle)
            width = frequency / 3
            bank.append(np.exp(-(((u - frequency) / width) ** 2 + (v / width) ** 2) / 2))
    return np.stack(bank)


def _local_patterns(grey: NDArray[np.uint8], radius: int) -> NDArray[np.float64]:
    from skimage.feature import local_binary_pattern

    codes = local_binary_pattern(grey, _POINTS, radius, method="uniform")
    return np.asarray(np.bincount(codes.astype(np.int64).ravel(), minlength=_POINTS + 2) / codes.size)


def _co_occurrence(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    from skimage.feature import graycomatrix, graycoprops

    coarse = (grey // (256 // LEVELS)).astype(np.uint8)
    matrix = graycomatrix(coarse, DISTANCES, ANGLES, levels=LEVELS, symmetric=True, normed=True)
    # the mean over the angles and their spread: how coarse, and how directed
    values = [graycoprops(matrix, name) for name in PROPERTIES]
    return np.concatenate([np.concatenate([v.mean(1), v.std(1)]) for v in values])


def _orientations(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    from skimage.feature import hog

    cell = (grey.shape[0] // HOG_CELLS, grey.shape[1] // HOG_CELLS)
    return np.asarray(
        hog(grey, HOG_BINS, pixels_per_cell=cell, cells_per_block=(1, 1), block_norm="L2"), np.float64
    )[: HOG_CELLS**2 * HOG_BINS]


def _colours(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """A histogram of each channel, and of each channel the mean and deviation."""
    channels = image.reshape(-1, 3).T
    bins = [
        np.bincount(
            np.clip(c / (256 / COLOUR_BINS), 0, COLOUR_BINS - 1).astype(np.int64), minlength=COLOUR_BINS
        )
        for c in channels
    ]
    moments = np.concatenate([channels.mean(1), channels.std(1)]) / 255
    return np.concatenate([np.concatenate(bins) / channels.shape[1], moments])

"""Golden images: made the same on every machine, scored at fit time, scored again on another runtime.

They are integer hash noise at three scales, so a model file needs to carry no picture of a customer's
parts to prove that a runtime computes what calibrated the threshold.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Batch, Detector
from anomalens.threads import one_blas_thread

COUNT: Final = 2
_ROWS: Final = 256  # made at once
# Largest accepted relative difference of a golden image's score. bfloat16 keeps 8 bits of mantissa.
TOLERANCE: Final = {"float32": 1e-3, "bfloat16": 2e-2}


def golden_image(size: tuple[int, int], number: int) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], the same on every machine and version."""
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS):  # of a large image all at once would take a gigabyte
        image[top : top + _ROWS] = _noisy_rows(np.arange(top, min(top + _ROWS, height)), width, number + 1)
    return image


def _noisy_rows(rows: NDArray[np.int64], width: int, seed: int) -> NDArray[np.uint8]:
    total = np.zeros((len(rows), width, 3), np.uint32)
    for cell in (2, 8, 32):
        y = rows.astype(np.uint32)[:, None, None] // np.uint32(cell)
        x = np.arange(width, dtype=np.uint32)[:, None] // np.uint32(cell)
        c = np.arange(3, dtype=np.uint32)
        with np.errstate(over="ignore"):
            h = (
                x * np.uint32(374761393)
                + y * np.uint32(668265263)
                + c * np.uint32(2246822519)
                + np.uint32(seed * 97 + cell) * np.uint32(3266489917)
            )
            h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
            total += (h ^ (h >> np.uint32(16))) & np.uint32(255)
    return (total // 3).astype(np.uint8)


def golden_reference(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What detectors of pairs compare one with: the same, moved by a few pixels and darker."""
    return np.roll(image, (2, 3), axis=(0, 1)) // 2 + 40


def score_golden(detector: Detector, size: tuple[int, int]) -> dict[str, Any]:
    """Hash of the golden images and their scores, for the card."""
    digest = hashlib.sha256()
    scores = []
    for number in range(COUNT):  # one at a time: their maps may be as large as the largest images
        image = golden_image(size, number)
        digest.update(image.data)
        references = [golden_reference(image)] if detector.uses_references else None
        with one_blas_thread():
            one = detector.score(Batch([image], [f"golden-{number}"], references=references))
        scores.append(float(one.image[0]))
    return {"sha256": digest.hexdigest(), "scores": scores}


def drift(golden: dict[str, Any], detector: Detector, size: tuple[int, int]) -> float:
    """Largest relative difference between the recorded golden scores and this detector's.

    Infinite where a score is no number.
    """
    now = np.array(score_golden(detector, size)["scores"])
    then = np.array(golden["scores"], np.float64)
    scale = np.maximum(np.abs(then), 1e-12)
    moved = float(np.max(np.abs(now - then) / scale))
    return math.inf if math.isnan(moved) else moved

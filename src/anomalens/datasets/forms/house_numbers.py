"""SVHN, the cropped digits: train_32x32.mat and test_32x32.mat with X [32, 32, 3, n] and y [n, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from anomalens.datasets.forms.matlab_files import read_mat
from anomalens.datasets.labelled_arrays import labelled_arrays
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet

_DIGITS: Final = tuple("0123456789")


def read_svhn(root: Path, seed: int) -> Classes:
    """The two published parts; the label 10 is the digit 0."""
    return Classes(_DIGITS, _part(root, "train"), _part(root, "test"))


def _part(root: Path, part: str) -> ImageSet:
    file = root / f"{part}_32x32.mat"
    found = read_mat(file, ("X", "y"))
    images, labels = found["X"], found["y"]
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray) or images.ndim != 4:
        raise ImageSetError(f"{file}: X must be [32, 32, 3, n] and y [n, 1]; fetch the cropped digits.")
    numbers = labels.reshape(-1).astype(np.int64)
    if numbers.size and not 1 <= numbers.min() <= numbers.max() <= 10:
        raise ImageSetError(
            f"{file}: labels go from {numbers.min()} to {numbers.max()}, not from 1 to 10; fetch it again."
        )
    return labelled_arrays(part, images.transpose(3, 0, 1, 2), numbers % 10, _DIGITS, str(file))


SVHN = Form(
    "train_32x32.mat, test_32x32.mat",
    lambda root: all((root / f"{part}_32x32.mat").is_file() for part in ("train", "test")),
    read_svhn,
)

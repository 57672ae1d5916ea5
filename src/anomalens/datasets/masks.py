"""Ground truth at the pixel level, whatever it was published as: any non-zero value is anomalous."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomalens.datasets.limits import read_text
from anomalens.errors import ImageSetError
from anomalens.images.arrays import MAX_PIXELS
from anomalens.images.image_entry import ImageEntry
from anomalens.images.mask_files import marked_in

Mask = NDArray[np.bool_]


def read_mask(entry: ImageEntry, size: tuple[int, int]) -> Mask | None:
    """The mask of an image, or None where there is none.

    Parameters
    ----------
    entry : ImageEntry
        Its `mask` is an image, a folder of images (one for each fault: their union counts), a list of
        boxes (`.txt`, lines `x1 y1 x2 y2 kind`) or a MATLAB file with a segmentation.
    size : (int, int)
        Width and height of the image in pixels, as in `Picture.size`.

    Returns
    -------
    bool [h, w] or None

    Raises
    ------
    ImageSetError
        When the mask cannot be used or has another size than the image.
    ImageError
        When a mask image cannot be decoded.
    """
    if entry.mask is None:
        return None
    if entry.mask.suffix.lower() == ".txt":
        return _boxes(entry.mask, size)
    mask = read_mask_file(entry.mask)
    if mask.shape != (size[1], size[0]):
        raise ImageSetError(
            f"The mask {entry.mask} has {mask.shape[1]} x {mask.shape[0]} pixels and its image {entry.id} "
            f"has {size[0]} x {size[1]}; give a mask of the image's size."
        )
    return mask


def read_mask_file(path: Path) -> Mask:
    """A mask in its own size, from an image, a folder of images or a MATLAB file."""
    return _segmentation(path) if path.suffix.lower() == ".mat" else marked_in(path)


def _boxes(file: Path, size: tuple[int, int]) -> Mask:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageSetError(f"The boxes {file} belong to an image that is too large; tile it.")
    mask = np.zeros((height, width), np.bool_)
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        fields = line.replace(",", " ").split()
        if not fields:
            continue
        try:
            left, top, right, bottom = (int(text) for text in fields[:4])
        except ValueError:
            raise ImageSetError(
                f"Line {number} of {file} is no box; write x1 y1 x2 y2 and the kind."
            ) from None
        if not (0 <= left <= right <= width and 0 <= top <= bottom <= height):
            raise ImageSetError(
                f"Line {number} of {file} is a box outside the image of {width} x {height} pixels; correct "
                "it."
            )
        mask[top:bottom, left:right] = True
    return mask


def _segmentation(file: Path) -> Mask:
    """CrackForest's `groundTruth.Segmentation`: 1 is background."""
    from anomalens.datasets.forms.matlab_files import read_mat

    truth = read_mat(file, ("groundTruth",))["groundTruth"]
    segmentation = truth.get("Segmentation") if isinstance(truth, dict) else None
    if not isinstance(segmentation, np.ndarray) or segmentation.ndim != 2:
        raise ImageSetError(f"{file} holds no groundTruth.Segmentation; fetch it again.")
    mask: Mask = segmentation > 1
    return mask

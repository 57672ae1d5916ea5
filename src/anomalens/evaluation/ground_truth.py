"""A test image's map beside its ground truth: the same pixels, without padding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomalens.datasets.masks import read_mask
from anomalens.images.image_entry import ImageEntry
from anomalens.inspector import Finding

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def visible_map(finding: Finding) -> Map:
    """The part of the map [h, w] that shows the image; padding would count as right answers for nothing."""
    assert finding.map is not None
    _xs, _ys, inside_x, inside_y = _places(finding)
    return finding.map[np.ix_(inside_y, inside_x)]


def mask_on_map(entry: ImageEntry, finding: Finding) -> Mask | None:
    """The ground truth at the pixels of `visible_map`, by nearest neighbour; None where there is none.

    A mask so thin that it falls between the map's pixels keeps the nearest ones.

    Raises
    ------
    InputError
        The mask cannot be read or has another size than the image.
    """
    assert finding.original_size is not None and finding.map_to_original is not None
    mask = read_mask(entry, finding.original_size)
    if mask is None or not mask.any():
        return None
    xs, ys, inside_x, inside_y = _places(finding)
    on_map: Mask = mask[np.ix_(ys[inside_y], xs[inside_x])].copy()
    if not on_map.any():
        y, x = np.nonzero(mask)
        to = finding.map_to_original
        column = ((x + 0.5 - to.bx) / to.ax).astype(int) - int(np.flatnonzero(inside_x)[0])
        row = ((y + 0.5 - to.by) / to.ay).astype(int) - int(np.flatnonzero(inside_y)[0])
        seen = (column >= 0) & (column < on_map.shape[1]) & (row >= 0) & (row < on_map.shape[0])
        on_map[row[seen], column[seen]] = True
    return on_map if on_map.any() else None  # cropped away


def _places(
    finding: Finding,
) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask, Mask]:
    """The original's column and row under each of the map's, and which of them lie in the image."""
    assert finding.map is not None
    assert finding.map_to_original is not None and finding.original_size is not None
    height, width = finding.map.shape
    to = finding.map_to_original
    xs = np.floor(to.ax * (np.arange(width) + 0.5) + to.bx).astype(np.int64)
    ys = np.floor(to.ay * (np.arange(height) + 0.5) + to.by).astype(np.int64)
    return (
        xs,
        ys,
        (xs >= 0) & (xs < finding.original_size[0]),
        (ys >= 0) & (ys < finding.original_size[1]),
    )

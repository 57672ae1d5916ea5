"""Images that show the same thing: exact copies, re-encoded copies, exposures, video frames.

Such images must stay on one side of every split; else calibration is measured on what was learnt.
Exact copies are found by their bytes, near copies by their content (`near_pairs`), of at most 20,000
images. Further images get no thumbnail and are compared by their bytes only; `Duplicates.compared` says
how many were compared by content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError
from anomalens.images.arrays import Pixels
from anomalens.images.image_set import ImageSet
from anomalens.images.named_groups import groups_by_name
from anomalens.images.near_pairs import SIDE, near_pairs
from anomalens.images.prefetch import stream
from anomalens.images.resample import luma, resize

LIMIT = 20_000


@dataclass(frozen=True)
class Duplicates:
    """Groups of indices of images that show the same thing.

    Attributes
    ----------
    exact : list of list of int
        The same bytes.
    near : list of list of int
        Nearly the same picture; exact copies are included.
    compared : int
        How many images were compared by content and not only by their bytes.
    """

    exact: list[list[int]]
    near: list[list[int]]
    compared: int


class Thumbnails:
    """Collects what `find_duplicates` needs while images stream past for another purpose."""

    def __init__(self) -> None:
        self._small: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._small)

    def add(self, index: int, pixels: Pixels) -> None:
        """Keep the thumbnail (4 KB) of PIXELS `[h, w, 3]`; above 20,000 nothing is kept."""
        if len(self._small) < LIMIT:
            grey = luma(resize(pixels, (SIDE, SIDE)))
            self._small[index] = np.rint(grey).astype(np.uint8)

    def stacked(self) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Indices `[n]` in order and thumbnails `[n, 64, 64]`."""
        order = sorted(self._small)
        if not order:
            return np.zeros(0, np.intp), np.zeros((0, SIDE, SIDE), np.uint8)
        return np.array(order, np.intp), np.stack([self._small[i] for i in order])


def find_duplicates(image_set: ImageSet, thumbnails: Thumbnails | None = None) -> Duplicates:
    """Find exact copies by hash and near copies by content.

    Parameters
    ----------
    image_set : ImageSet
    thumbnails : Thumbnails, optional
        Collected before under the set's indices; when left out, the images are decoded here.
        Images without one (unreadable, or above 20,000) are compared by their bytes only.
    """
    if thumbnails is None:
        thumbnails = collect(image_set)
    by_hash: dict[str, list[int]] = defaultdict(list)
    for index in range(len(image_set)):
        try:
            by_hash[image_set.sha256(index)].append(index)
        except ImageError:
            continue
    exact = [group for group in by_hash.values() if len(group) > 1]
    indices, small = thumbnails.stacked()
    members: dict[int, list[int]] = defaultdict(list)
    for index, root in enumerate(_joined(len(image_set), [*exact, *indices[near_pairs(small)]]).tolist()):
        members[root].append(index)
    near = [group for group in members.values() if len(group) > 1]
    return Duplicates(exact=exact, near=near, compared=len(indices))


def collect(image_set: ImageSet) -> Thumbnails:
    """Decode a set for its thumbnails alone."""
    thumbnails = Thumbnails()
    wanted = image_set if len(image_set) <= LIMIT else image_set.subset(range(LIMIT))
    images = stream(wanted, lambda entry: resize(entry.read(reduce_to=2 * SIDE).pixels, (SIDE, SIDE)))
    for index, (_, small) in enumerate(images):
        if not isinstance(small, ImageError):
            thumbnails.add(index, small)
    return thumbnails


def group_images(
    image_set: ImageSet, thumbnails: Thumbnails | None = None, *, find: bool = True
) -> list[str]:
    """One group id an image: the declared group, or else its exact and near copies and what its name says.

    Who declares groups knows them: found copies join only images of which no group is said, and none at all
    where `find` is false. The id is that of the group's first image.
    """
    alike: list[list[int]] = []
    if find and any(entry.group is None for entry in image_set):
        found = find_duplicates(image_set, thumbnails)
        named: dict[str, list[int]] = defaultdict(list)
        for index, name in enumerate(groups_by_name([entry.id for entry in image_set]) or ()):
            if name is not None:
                named[name].append(index)
        alike = [
            [i for i in group if image_set[i].group is None]
            for group in (*found.exact, *found.near, *named.values())
        ]
    declared: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(image_set):
        if entry.group is not None:
            declared[entry.group].append(index)
    roots = _joined(len(image_set), filter(None, [*alike, *declared.values()]))
    return [image_set[root].id for root in roots.tolist()]


def _joined(n: int, groups: Iterable[Sequence[int]]) -> NDArray[np.intp]:
    """The smallest member of each item's group, intp [n]; lists that share a member are one group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [(group[0], other) for group in groups for other in group[1:]]
    first, second = np.array(pairs, np.intp).reshape(-1, 2).T
    links = coo_array((np.ones(len(pairs)), (first, second)), (n, n))
    names = connected_components(links, directed=False)[1]
    return np.asarray(np.unique(names, return_index=True)[1][names], np.intp)

"""Images that show the same thing: exact copies, re-encoded copies, exposures, video frames.

Such images must stay on one side of every split; else calibration is measured on what was learnt.

The hard case is the usual one in inspection: every part looks like every other. So images are not
compared as they are. Each 64 x 64 grey thumbnail is reduced to its fine detail (high-pass, local
contrast normalised, which removes exposure), and from the detail everything that the set has in
common is taken away: its mean and, in larger sets, its first principal components (poses,
variants). What remains is what makes one image itself; two images are near duplicates when the
correlation of that, over shifts of up to 4 thumbnail pixels, is high for this set: above its median
by 6 times the distance from the median to the 90th percentile, but not outside 0.62 to 0.80. The
figures were chosen on magnetic tiles under six exposures (known copies) against transistors,
bottles, paper and walls (known not to be). Precision is preferred: a missed copy costs a little
optimism, a wrong union costs images.

Copies that were cropped or moved are found where images differ in detail (surfaces, scenes), not
among parts that all lie in one place: there the common part moves with the copy and hides it.

Very small sets have no common part to speak of; there only nearly identical detail (0.985) counts.
It counts in larger sets too, for the set that is all copies.

Cost: all pairs are compared coarsely (16 x 16, 9 shifts, blocked matrix products), the 12 best of
each image finely. 20,000 images take about 0.6 GB and two minutes on two cores. Further
images get no thumbnail and are compared by their bytes only; `Duplicates.compared` says how many
were compared by content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError
from anomalens.images.arrays import Pixels
from anomalens.images.image_set import ImageSet
from anomalens.images.prefetch import stream
from anomalens.images.resample import luma, resize

SIDE = 64
LIMIT = 20_000
NEIGHBOURS = 12
SHIFT = 4
THRESHOLD_RANGE = (0.62, 0.80)
SPREADS = 6.0
IDENTICAL = 0.985
SMALL_SET = 25
MAX_COMPONENTS = 8
BLOCK = 256

Floats = NDArray[np.float32]
Pairs = NDArray[np.intp]


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


def difference_hash(pixels: Pixels) -> int:
    """64-bit difference hash: for each of 8 x 8 places, whether brightness rises to the right.

    Robust to scale and exposure; equal objects in equal poses collide, so it names near copies of
    varied photographs only, and `find_duplicates` does not use it.
    """
    grey = luma(resize(pixels, (9, 8)))
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


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
    union = _Union(len(image_set))
    for group in exact:
        union.join(group)
    for i, j in near_pairs(small):
        union.join((int(indices[i]), int(indices[j])))
    return Duplicates(exact=exact, near=union.groups(), compared=len(indices))


def collect(image_set: ImageSet) -> Thumbnails:
    """Decode a set for its thumbnails alone."""
    thumbnails = Thumbnails()
    wanted = image_set if len(image_set) <= LIMIT else image_set.subset(range(LIMIT))
    images = stream(wanted, lambda picture: resize(picture.pixels, (SIDE, SIDE)), reduce_to=2 * SIDE)
    for index, small in images:
        if not isinstance(small, ImageError):
            thumbnails.add(index, small)
    return thumbnails


def group_images(image_set: ImageSet, thumbnails: Thumbnails | None = None) -> list[str]:
    """One group id an image: the union of declared groups, exact and near copies.

    The id is that of the group's first image.
    """
    found = find_duplicates(image_set, thumbnails)
    union = _Union(len(image_set))
    for group in (*found.exact, *found.near):
        union.join(group)
    declared: dict[str, list[int]] = defaultdict(list)
    for index, entry in enumerate(image_set):
        if entry.group is not None:
            declared[entry.group].append(index)
    for group in declared.values():
        union.join(group)
    return [image_set[union.root(index)].id for index in range(len(image_set))]


def near_pairs(thumbnails: NDArray[np.uint8]) -> Pairs:
    """Pairs `[p, 2]` (i < j) of near duplicates among thumbnails `[n, 64, 64]`."""
    n = len(thumbnails)
    if n < 2:
        return np.zeros((0, 2), np.intp)
    detail = np.empty((n, SIDE * SIDE), np.float32)
    for start in range(0, n, BLOCK):
        detail[start : start + BLOCK] = _detail(thumbnails[start : start + BLOCK])
    _remove_common(detail)
    pairs = _candidates(detail)
    own = _similarity(detail, pairs)
    raw = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), BLOCK):
        part = pairs[start : start + BLOCK]
        both = _detail(thumbnails[part.ravel()])
        raw[start : start + BLOCK] = _similarity(both, np.arange(len(both)).reshape(-1, 2))
    near = raw >= IDENTICAL
    if n >= SMALL_SET:
        near |= own >= _threshold(detail)
    return pairs[near]


def _detail(thumbnails: NDArray[np.uint8]) -> Floats:
    """Locally normalised fine detail `[n, 4096]`, each of length 1, or 0 for a blank image."""
    grey = thumbnails.astype(np.float32)
    high = grey - _blur(grey)
    local = np.sqrt(_blur(high * high))
    # The floor keeps noise in flat regions (one grey level, JPEG) from counting as detail.
    floor = 0.02 * grey.std(axis=(1, 2), keepdims=True) + 1.0
    # Less weight at the rim, which enters and leaves with the shift.
    rim = np.sqrt(np.hanning(SIDE + 2)[1:-1]).astype(np.float32)
    flat = (high / (local + floor) * np.outer(rim, rim)).reshape(len(grey), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return _unit(flat)


def _blur(images: Floats) -> Floats:
    """Gaussian of 3 pixels, rows of the kernel renormalised at the edges."""
    place = np.arange(SIDE)
    kernel = np.exp(-0.5 * ((place[:, None] - place[None]) / 3.0) ** 2)
    kernel = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
    blurred: Floats = kernel @ images @ kernel.T
    return blurred


def _unit(rows: Floats) -> Floats:
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    unit: Floats = np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-3)
    return unit


def _remove_common(detail: Floats) -> None:
    """Take the set's mean and first principal components away, in place; rows of length 1 again."""
    shown = np.flatnonzero(detail.any(axis=1))
    n = len(shown)
    if n < SMALL_SET:
        return
    mean: Floats = (detail.sum(axis=0) / n).astype(np.float32)
    for start in range(0, n, BLOCK):
        rows = shown[start : start + BLOCK]
        detail[rows] = _unit(detail[rows] - mean)
    # Few components and only in larger sets: in a small set the components are the groups.
    count = min(MAX_COMPONENTS, n // SMALL_SET)
    sample = detail[shown[np.linspace(0, n - 1, min(n, 1024)).astype(int)]]
    _, vectors = np.linalg.eigh(sample @ sample.T)
    components = _unit(vectors[:, -count:].T.astype(np.float32) @ sample)
    for start in range(0, n, BLOCK):
        rows = shown[start : start + BLOCK]
        shared: Floats = detail[rows] @ components.T
        detail[rows] = _unit(detail[rows] - shared @ components)


def _candidates(detail: Floats) -> Pairs:
    """For each image its most similar ones at 16 x 16, over shifts of one coarse pixel."""
    n = len(detail)
    step = SIDE // 16
    coarse = detail.reshape(n, 16, step, 16, step).mean(axis=(2, 4))
    coarse = _unit(coarse.reshape(n, -1)).reshape(n, 16, 16)
    still = coarse.reshape(n, -1).T
    wanted = min(NEIGHBOURS, n - 1)
    found = []
    # A block of rows against all: at most 3 x 20 MB of similarities at a time.
    for start in range(0, n, BLOCK):
        block = coarse[start : start + BLOCK]
        best = np.full((len(block), n), -2, np.float32)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                moved = np.roll(block, (dy, dx), axis=(1, 2)).reshape(len(block), -1)
                np.maximum(best, moved @ still, out=best)
        rows = np.arange(len(block))
        best[rows, start + rows] = -2
        nearest = np.argpartition(-best, wanted - 1, axis=1)[:, :wanted]
        found.append(np.stack([np.repeat(start + rows, wanted), nearest.ravel()], axis=1))
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0).astype(np.intp)


def _similarity(detail: Floats, pairs: Pairs) -> Floats:
    """Largest correlation of each pair over shifts of up to `SHIFT` pixels."""
    shifts = np.arange(-SHIFT, SHIFT + 1)
    best = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), BLOCK):
        part = pairs[start : start + BLOCK]
        first, second = (np.fft.rfft2(detail[part[:, side]].reshape(-1, SIDE, SIDE)) for side in (0, 1))
        correlation = np.fft.irfft2(first.conj() * second, s=(SIDE, SIDE))
        best[start : start + BLOCK] = correlation[:, shifts[:, None], shifts].max(axis=(1, 2))
    return best


def _threshold(detail: Floats) -> float:
    """What similarity is out of the ordinary in this set, from at most 2,000 random pairs."""
    n = len(detail)
    rng = np.random.default_rng(0)
    first = rng.integers(0, n, 2000)
    second = (first + rng.integers(1, n, 2000)) % n
    values = _similarity(detail, np.stack([first, second], axis=1))
    median, high = np.quantile(values, [0.5, 0.9])
    return float(np.clip(median + SPREADS * (high - median), *THRESHOLD_RANGE))


class _Union:
    """Union-find over 0 … n - 1; the root of a group is its smallest member."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def root(self, item: int) -> int:
        while self._above[item] != item:
            self._above[item] = self._above[self._above[item]]
            item = self._above[item]
        return item

    def join(self, items: Iterable[int]) -> None:
        roots = [self.root(item) for item in items]
        for other in roots:
            self._above[max(self.root(roots[0]), self.root(other))] = min(
                self.root(roots[0]), self.root(other)
            )

    def groups(self) -> list[list[int]]:
        members: dict[int, list[int]] = defaultdict(list)
        for item in range(len(self._above)):
            members[self.root(item)].append(item)
        return [group for group in members.values() if len(group) > 1]

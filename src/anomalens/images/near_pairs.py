"""Pairs of thumbnails that show the same thing, told by what makes one image itself.

The hard case is the usual one in inspection: every part looks like every other. So images are not
compared as they are. Each 64 x 64 grey thumbnail is reduced to its fine detail (high-pass, local
contrast normalised, which removes exposure), and from the detail everything that the set has in
common is taken away: its mean and, in larger sets, its first principal components (poses,
variants). What remains is what makes one image itself, and two images are as similar as that
correlates, over shifts of up to 4 thumbnail pixels.

How similar is a copy? No number says: exposures of one tile correlate by 0.7 to 0.9, and so do different
small parts that happen to lie turned alike. But copies stand apart (`standing_apart.py`): the least similar
two of a group are more similar than any of them to any image outside, by far. Turned parts do not: each
has one that lies a little more like it, and that has another. Those are no groups: a new part will have such
neighbours too. Frames of a film have them as well, but follow each other in the set's order; they make
groups of consecutive frames.

Copies that were cropped or moved are found where images differ in detail (surfaces, scenes), not
among parts that all lie in one place: there the common part moves with the copy and hides it.

Sets of fewer than 25 have no common part to speak of; there only nearly identical detail (0.985) counts.

Cost: all pairs are compared coarsely (16 x 16, 9 shifts, blocked matrix products), the 12 best of
each image finely, from spectra that are taken once an image. 6,000 images take 3 seconds on one core,
20,000 take 18, half of that on two, and 0.5 GB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomalens.images.standing_apart import following, standing_apart
from anomalens.threads import on_all_cores, one_blas_thread

SIDE = 64
NEIGHBOURS = 12
SHIFT = 4
IDENTICAL = 0.985
SMALL_SET = 25
_MOSTLY_ALONE = 0.5
MAX_COMPONENTS = 8

FEW = 64  # images or pairs at a time, whose spectra stay in a core's cache
BLOCK = 256  # rows of the table of all pairs at a time,
COLUMNS = 1024  # and columns

Floats = NDArray[np.float32]
Spectra = NDArray[np.complex64]
Pairs = NDArray[np.intp]

_HALF = SIDE // 2 + 1  # columns of a real image's spectrum
_SHIFTS = np.arange(-SHIFT, SHIFT + 1)
_WAVES = np.exp(2j * np.pi / SIDE * np.outer(np.arange(SIDE), _SHIFTS))
# all columns but the first and the last stand for two frequencies; the squares of a unit image sum to 1
_TIMES = np.where(np.arange(_HALF) % (_HALF - 1), 2, 1) / SIDE**2
_ACROSS = (_WAVES[:_HALF] * _TIMES[:, None]).astype(np.complex64)
_DOWN = _WAVES.T.astype(np.complex64)


def near_pairs(thumbnails: NDArray[np.uint8]) -> Pairs:
    """Pairs `[p, 2]` (i < j) of near duplicates among thumbnails `[n, 64, 64]`."""
    n = len(thumbnails)
    if n < 2:
        return np.zeros((0, 2), np.intp)
    # one room for the detail and, later, in its place, its spectra, which are a little longer
    room = np.empty((n, 2 * SIDE * _HALF), np.float32)
    detail = room[:, : SIDE * SIDE]

    def prepare(block: slice) -> None:
        detail[block] = _detail(thumbnails[block])

    def transform(block: slice) -> None:
        room[block] = _spectra(detail[block]).view(np.float32)

    with one_blas_thread():
        on_all_cores(prepare, _slices(0, n, FEW))
        _remove_common(detail)
        pairs = _candidates(_coarse(detail))
        on_all_cores(transform, _slices(0, n, FEW))
        spectra = room.view(np.complex64)
        if n < SMALL_SET:
            return pairs[_similarity(spectra, pairs) >= IDENTICAL]
        return pairs[_grouped(spectra, pairs)]


def _slices(start: int, stop: int, step: int) -> list[slice]:
    return [slice(place, min(place + step, stop)) for place in range(start, stop, step)]


def _detail(thumbnails: NDArray[np.uint8]) -> Floats:
    """Locally normalised fine detail `[n, 4096]`, each of length 1, or 0 for a blank image."""
    grey = thumbnails.astype(np.float32)
    high = grey - _blur(grey)
    local = np.sqrt(_blur(high * high))
    # The floor keeps noise in flat regions (one grey level, JPEG) from counting as detail.
    floor = 0.02 * grey.std(axis=(1, 2), keepdims=True) + 1.0
    # Less weight at the rim, which enters and leaves with the shift.
    rim = np.sqrt(np.hanning(SIDE + 2)[1:-1]).astype(np.float32)
    flat = (high / (local + floor) * np.outer(rim, rim)).reshape(-1, SIDE * SIDE)
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
    for part in _slices(0, n, BLOCK):
        rows = shown[part]
        detail[rows] = _unit(detail[rows] - mean)
    # Few components and only in larger sets: in a small set the components are the groups.
    count = min(MAX_COMPONENTS, n // SMALL_SET)
    sample = detail[shown[np.linspace(0, n - 1, min(n, 1024)).astype(int)]]
    _, vectors = np.linalg.eigh(sample @ sample.T)
    components = _unit(vectors[:, -count:].T.astype(np.float32) @ sample)
    for part in _slices(0, n, BLOCK):
        rows = shown[part]
        shared: Floats = detail[rows] @ components.T
        detail[rows] = _unit(detail[rows] - shared @ components)


def _coarse(detail: Floats) -> Floats:
    """Detail averaged to `[n, 16, 16]`, each of length 1."""
    n, step = len(detail), SIDE // 16
    small = detail.reshape(n, 16, step, 16, step).mean(axis=(2, 4))
    return _unit(small.reshape(n, -1)).reshape(n, 16, 16)


def _candidates(coarse: Floats) -> Pairs:
    """For each image its most similar ones at 16 x 16, over shifts of one coarse pixel.

    A pair is as similar one way as the other, so a block of rows meets only the columns from itself on,
    and both sides keep their best. At most 80 MB of similarities and what sorts them are held at a time.
    """
    n = len(coarse)
    flat = coarse.reshape(n, -1)
    nearest = _Nearest(n)
    similar = np.empty((min(BLOCK, n), n), np.float32)

    def compare(task: tuple[list[Floats], slice, slice]) -> None:
        moved, block, columns = task
        found = moved[0] @ flat[columns].T
        for one in moved[1:]:
            np.maximum(found, one @ flat[columns].T, out=found)
        if columns == block:
            np.fill_diagonal(found, -2)
        else:
            nearest.keep(columns, found.T, block.start)
        similar[: len(found), columns] = found

    def keep(task: tuple[slice, slice]) -> None:
        block, rows = task
        found = similar[rows.start - block.start : rows.stop - block.start, block.start :]
        nearest.keep(rows, found, block.start)

    for block in _slices(0, n, BLOCK):
        shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        moved = [np.roll(coarse[block], by, axis=(1, 2)).reshape(-1, flat.shape[1]) for by in shifts]
        columns = [block, *_slices(block.stop, n, COLUMNS)]
        on_all_cores(compare, [(moved, block, part) for part in columns])
        on_all_cores(keep, [(block, rows) for rows in _slices(block.start, block.stop, BLOCK // 8)])
    return nearest.pairs()


class _Nearest:
    """For each image the most similar ones that it has met."""

    def __init__(self, n: int) -> None:
        self._count = min(NEIGHBOURS, n - 1)
        self._best = np.full((n, self._count), -2, np.float32)
        self._names = np.tile(np.arange(n)[:, None], self._count)

    def keep(self, places: slice, similar: Floats, first: int) -> None:
        """Images `places` meet those from number `first` on; similarities `[places, met]`."""
        both = np.concatenate([self._best[places], similar], axis=1)
        top = np.argpartition(-both, self._count - 1, axis=1)[:, : self._count]
        known = np.take_along_axis(self._names[places], np.minimum(top, self._count - 1), axis=1)
        self._names[places] = np.where(top < self._count, known, first + top - self._count)
        self._best[places] = np.take_along_axis(both, top, axis=1)

    def pairs(self) -> Pairs:
        """Each pair once, `[p, 2]` (i < j), in order."""
        n = len(self._names)
        found = np.stack([np.repeat(np.arange(n), self._count), self._names.ravel()], axis=1)
        return np.unique(np.sort(found, axis=1), axis=0).astype(np.intp)


def _spectra(images: Floats) -> Spectra:
    """Fourier transforms `[n, 64 * 33]` of images `[n, 4096]`."""
    from scipy.fft import rfft2  # numpy's takes three times as long, and float64 before numpy 2

    found: Spectra = rfft2(images.reshape(-1, SIDE, SIDE)).reshape(-1, SIDE * _HALF)
    return found


def _similarity(spectra: Spectra, pairs: Pairs) -> Floats:
    """Largest correlation of each pair over shifts of up to `SHIFT` pixels."""
    best = np.empty(len(pairs), np.float32)

    def compare(part: slice) -> None:
        product = np.conjugate(spectra[pairs[part, 0]])
        product *= spectra[pairs[part, 1]]
        # back from frequencies to places, but only to the few that are asked for
        across = (product.reshape(-1, _HALF) @ _ACROSS).reshape(-1, SIDE, len(_SHIFTS))
        best[part] = (_DOWN @ across).real.max(axis=(1, 2))

    on_all_cores(compare, _slices(0, len(pairs), FEW))
    return best


def _grouped(spectra: Spectra, pairs: Pairs) -> NDArray[np.bool_]:
    """Which pairs are of one group: of images that stand apart, or of frames that follow each other."""
    n = len(spectra)

    def similarity(some: Pairs) -> Floats:
        return _similarity(spectra, some)

    rng = np.random.default_rng(0)
    first = rng.integers(0, n, 2000)
    second = (first + rng.integers(1, n, 2000)) % n
    usual = float(np.quantile(similarity(np.stack([first, second], axis=1)), 0.9))
    found = similarity(pairs)
    names = standing_apart(n, pairs, found, usual, similarity)
    if (names == np.arange(n)).mean() > _MOSTLY_ALONE:  # else what follows each other are exposures of parts
        frames = following(n, pairs, found, usual, similarity)
        names = names if frames is None else frames
    return np.asarray(names[pairs[:, 0]] == names[pairs[:, 1]])

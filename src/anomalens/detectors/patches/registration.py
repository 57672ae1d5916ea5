"""Bring a reference onto its image: a shift in whole pixels, and the image's exposure.

The shift is the peak of the phase correlation (Kuglin and Hines 1975, "The phase correlation image alignment
method"), looked for among small shifts only and kept only where the two then differ clearly less: of
stripes, or of an empty picture, no shift is better than another. Whole pixels, because interpolation
would smooth the reference and not the image; what is left below a pixel is smaller than what the comparison
of features forgives. Exposure is a gain and an offset for each channel, from means and standard deviations of
the pixels that the two share.

Not done here: rotation, scale and perspective. Pictures that differ by those need a fixture, or another
registration before they come here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels

Floats = NDArray[np.float32]
Shift = tuple[int, int]

# A shift is kept where the mean difference falls by this share at least.
CLEARLY_LESS: Final = 0.02
_ROUNDS: Final = 3
# Pixels that differ by less take part in the exposure: of 255, and times the median difference. Not stricter:
# a black track on a white board must not be taken for a defect because the first guess was a little off.
_ALIKE: Final = (26.0, 4.0)
_GAINS: Final = (0.5, 2.0)  # a picture without contrast must not take that of its reference


def aligned(reference: Pixels, image: Pixels, *, max_shift: int) -> Floats:
    """The reference, moved onto the image and exposed like it.

    Parameters
    ----------
    reference, image : uint8 or float32 [h, w, 3]
    max_shift : int
        Largest shift in pixels, up or down and to each side; 0 moves nothing.

    Returns
    -------
    float32 [h, w, 3]
        Where the reference shows nothing, after a shift, the image stands for itself.

    Raises
    ------
    SettingError
        The two differ in size.
    """
    if reference.shape != image.shape:
        raise SettingError(
            f"The reference has the shape {list(reference.shape)} and its image {list(image.shape)}; prepare "
            "both the same way."
        )
    still, difference = _placed(reference, image, (0, 0))
    shift = best_shift(reference, image, max_shift=max_shift)
    if shift == (0, 0):
        return still
    moved, less = _placed(reference, image, shift)
    return moved if less < (1 - CLEARLY_LESS) * difference else still


def best_shift(reference: Pixels, image: Pixels, *, max_shift: int) -> Shift:
    """How far (down, right) the reference has to move, in pixels, as far as `max_shift` allows.

    The peak is looked for again in what both then show, until it stays: of smooth pictures the first one lies
    a little too near, because the windows that fade their borders out lie on each other.
    """
    shift = (0, 0)
    for _ in range(_ROUNDS):
        rows, columns = (_overlap(s, side) for s, side in zip(shift, image.shape[:2], strict=True))
        step = _peak(reference[rows[1], columns[1]], image[rows[0], columns[0]], shift, max_shift)
        if step == (0, 0):
            break
        shift = (shift[0] + step[0], shift[1] + step[1])
    return shift


def _peak(reference: Pixels, image: Pixels, shift: Shift, max_shift: int) -> Shift:
    """Where the phase correlation is highest among the steps that stay below the largest shift."""
    height, width = image.shape[:2]
    window = np.hanning(height)[:, None] * np.hanning(width)  # borders do not wrap around
    spectra = []
    for pixels in (image, reference):
        grey = pixels.mean(axis=2, dtype=np.float64)
        spectra.append(np.fft.rfft2((grey - grey.mean()) * window))
    cross = spectra[0] * np.conj(spectra[1])
    # the square root of the strength, not all of it: what is only noise has little say
    correlation = np.fft.irfft2(cross / np.sqrt(np.abs(cross) + 1e-6), s=(height, width))
    reach = [min(max_shift, side // 2) for side in (height, width)]
    rows, columns = (
        np.arange(max(-r, -max_shift - s), min(r, max_shift - s) + 1)
        for r, s in zip(reach, shift, strict=True)
    )
    near = correlation[np.ix_(rows % height, columns % width)]
    y, x = np.unravel_index(int(near.argmax()), near.shape)
    return int(rows[y]), int(columns[x])


def _placed(reference: Pixels, image: Pixels, shift: Shift) -> tuple[Floats, float]:
    """The reference at this shift, exposed like the image, and the mean difference where both are."""
    rows, columns = (_overlap(s, side) for s, side in zip(shift, image.shape[:2], strict=True))
    placed: Floats = image.astype(np.float32)
    target = placed[rows[0], columns[0]]
    source = reference[rows[1], columns[1]].astype(np.float32)
    matched = _exposed(source, target)
    difference = float(np.abs(matched - target).mean(dtype=np.float64))
    placed[rows[0], columns[0]] = matched
    return placed, difference


def _overlap(shift: int, side: int) -> tuple[slice, slice]:
    """Where image and shifted reference both are, along one axis: in the image, in the reference."""
    return slice(max(0, shift), side + min(0, shift)), slice(max(0, -shift), side + min(0, -shift))


def _exposed(source: Floats, target: Floats) -> Floats:
    """The source with the target's mean and standard deviation in each channel, where the two agree."""
    some, wanted = source[::2, ::2].reshape(-1, 3), target[::2, ::2].reshape(-1, 3)
    alike = np.ones(len(some), bool)
    for _ in range(_ROUNDS):
        spread, asked = (part[alike].std(0, dtype=np.float64) for part in (some, wanted))
        gain = np.where(spread < 1, 1.0, np.clip(asked / np.maximum(spread, 1.0), *_GAINS)).astype(np.float32)
        offset = wanted[alike].mean(0) - gain * some[alike].mean(0)
        apart = np.abs(some * gain + offset - wanted).max(1)
        # a large defect must not change the exposure of all the rest
        alike = apart <= max(_ALIKE[0], _ALIKE[1] * float(np.median(apart)))
    return np.asarray(np.clip(source * gain + offset, 0, 255), np.float32)

"""The steps of preprocessing: each a frozen record that can be written to JSON and replayed.

`Resize` comes first, so that the others cost little; they change values and never move a pixel.
All arithmetic is exact or in a fixed order: the same file gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.images.decode import Picture
from anomalens.images.geometry import Affine, Prepared
from anomalens.images.json_fields import Recorded
from anomalens.images.mask_files import marked_in
from anomalens.images.resample import luma, resize

RGB = tuple[int, int, int]
Mode = Literal["stretch", "pad", "crop"]

MODES = ("stretch", "pad", "crop")
MAX_SIDE = 8192
MID_GREY = 127
_FEW_BITS = 14  # of 16: pictures that use fewer are dark for the networks


@dataclass(frozen=True, kw_only=True)
class Resize(Recorded):
    """Bring an image to `width` x `height` pixels, bilinear with antialiasing.

    Parameters
    ----------
    width, height : int
        1 to 8192.
    mode : {"stretch", "pad", "crop"}
        `stretch` ignores the aspect, `pad` shows the whole image with bands beside it, `crop` takes
        the largest centred part with the target's aspect.
    fill : "border" or (r, g, b)
        Colour of the bands; "border" is the rounded mean of the resized image's border pixels, per
        channel, so that the bands do not stand out.
    """

    kind: ClassVar[str] = "resize"
    width: int
    height: int
    mode: Mode = "stretch"
    fill: Literal["border"] | RGB = "border"

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            _check_int(self.kind, name, side, 1, MAX_SIDE)
        if self.mode not in MODES:
            raise SettingError(f"resize: the mode {self.mode!r} is unknown; use {', '.join(MODES)}.")
        if self.fill != "border":
            _check_colour(self.kind, self.fill)

    def place(self, picture: Picture) -> Prepared:
        """Apply to a decoded picture; coordinates refer to the original, whatever was decoded."""
        width, height = picture.size
        here, there = picture.pixels.shape[1], picture.pixels.shape[0]
        if self.mode == "stretch":
            pixels = resize(picture.pixels, (self.width, self.height))
            return Prepared(pixels, Affine(width / self.width, height / self.height, 0.0, 0.0), picture.size)
        if self.mode == "crop":
            scale = max(self.width / width, self.height / height)
            part_w, part_h = min(width, self.width / scale), min(height, self.height / scale)
            left, top = (width - part_w) / 2, (height - part_h) / 2
            rx, ry = here / width, there / height
            box = (left * rx, top * ry, (left + part_w) * rx, (top + part_h) * ry)
            pixels = resize(
                picture.pixels,
                (self.width, self.height),
                (box[0], box[1], min(box[2], here), min(box[3], there)),
            )
            return Prepared(
                pixels, Affine(part_w / self.width, part_h / self.height, left, top), picture.size
            )
        scale = min(self.width / width, self.height / height)
        inner_w = min(self.width, max(1, round(width * scale)))
        inner_h = min(self.height, max(1, round(height * scale)))
        x0, y0 = (self.width - inner_w) // 2, (self.height - inner_h) // 2
        inner = resize(picture.pixels, (inner_w, inner_h))
        canvas: Pixels = np.empty_like(inner, shape=(self.height, self.width, 3))
        canvas[:] = _border_mean(inner) if self.fill == "border" else self.fill
        canvas[y0 : y0 + inner_h, x0 : x0 + inner_w] = inner
        ax, ay = width / inner_w, height / inner_h
        return Prepared(canvas, Affine(ax, ay, -x0 * ax, -y0 * ay), picture.size)


@dataclass(frozen=True)
class Grey(Recorded):
    """Replace colour by ITU-R 601 luma in all three channels."""

    kind: ClassVar[str] = "grey"

    def apply(self, prepared: Prepared) -> Prepared:
        return prepared.with_pixels(np.repeat(luma(prepared.pixels)[..., None], 3, axis=2))


@dataclass(frozen=True, kw_only=True)
class Standardise(Recorded):
    """Bring each image to one brightness and contrast.

    One gain and one offset for all channels, from the mean and standard deviation over all visible
    pixels and channels, so that colours keep their differences. Removes exposure; removes also
    anomalies that only are a change of brightness.

    Parameters
    ----------
    mean, sd : float
        Target on the 0-255 scale. Images whose spread is below one grey level get its gain, so
        that sensor noise on an empty image is not blown up without limit.
    """

    kind: ClassVar[str] = "standardise"
    mean: float = 128.0
    sd: float = 48.0

    def __post_init__(self) -> None:
        if not (0 <= self.mean <= 255 and 0 < self.sd <= 255):
            raise SettingError(
                f"standardise: mean={self.mean} and sd={self.sd} are out of range; the mean lies "
                "from 0 to 255 and the sd above 0 and up to 255."
            )

    def apply(self, prepared: Prepared) -> Prepared:
        x0, y0, x1, y1 = prepared.visible
        seen = prepared.pixels[y0:y1, x0:x1]
        if seen.dtype == np.uint8:
            # Integer sums are exact, whatever the order of summation.
            values = seen.astype(np.int64)
            mean = int(values.sum()) / values.size
            spread = (int((values * values).sum()) / values.size - mean * mean) ** 0.5
        else:
            mean, spread = float(seen.mean(dtype=np.float64)), float(seen.std(dtype=np.float64))
        gain = self.sd / max(spread, 1.0)
        values = np.clip((prepared.pixels - mean) * gain + self.mean, 0, 255)
        if seen.dtype == np.uint8:
            values = np.rint(values)
        return prepared.with_pixels(values.astype(seen.dtype))


def highest_of(before: float | None, pixels: Pixels) -> float | None:
    """The highest value of deep images, with one more; None as soon as one has 8 bits."""
    return None if before is None or pixels.dtype == np.uint8 else max(before, float(pixels.max()))


@dataclass(frozen=True, kw_only=True)
class UsedBits(Recorded):
    """Bring the values of a camera of fewer bits in 16-bit files to the full range; 8-bit pictures stay.

    Parameters
    ----------
    bits : int
        That the camera has, 9 to 15: 2**bits - 1 becomes 255, and what is above it too.
    """

    kind: ClassVar[str] = "bits"
    bits: int

    def __post_init__(self) -> None:
        _check_int(self.kind, "bits", self.bits, 9, 15)

    def apply(self, prepared: Prepared) -> Prepared:
        if prepared.pixels.dtype == np.uint8:
            return prepared
        gain = np.float32(65535 / (2**self.bits - 1))
        return prepared.with_pixels(np.minimum(prepared.pixels * gain, np.float32(255)))

    @classmethod
    def hint(cls, highest: float) -> str | None:
        """What to do where the highest value of all deep images, 0-255, is a small part of the range."""
        bits = int(np.ceil(np.log2(max(highest, 1e-3) * 257 + 1)))
        if bits > _FEW_BITS:
            return None
        return (
            f"The images have 16 bits and no value above {highest:.3g} of 255: a "
            f"camera of {max(bits, 9)} bits? "
            f"--preprocess bits={max(bits, 9)} brings them to the full range."
        )


@dataclass(frozen=True, kw_only=True)
class RemoveBackground(Recorded):
    """Fill the pixels whose every channel is within `tolerance` of one colour.

    A rule per pixel: parts of the object that have the background's colour are filled too.

    Parameters
    ----------
    colour : (r, g, b)
        The background's colour, 0-255.
    tolerance : int
        Largest difference in each channel, 0-255.
    fill : int
        Grey level that takes its place.
    """

    kind: ClassVar[str] = "background"
    colour: RGB = (0, 0, 0)
    tolerance: int = 12
    fill: int = MID_GREY

    def __post_init__(self) -> None:
        _check_colour(self.kind, self.colour)
        _check_int(self.kind, "tolerance", self.tolerance, 0, 255)
        _check_int(self.kind, "fill", self.fill, 0, 255)

    def apply(self, prepared: Prepared) -> Prepared:
        pixels = prepared.pixels.copy()
        away = np.abs(pixels.astype(np.float32) - np.array(self.colour, dtype=np.float32))
        pixels[(away <= self.tolerance).all(axis=2)] = self.fill
        return prepared.with_pixels(pixels)


@dataclass(frozen=True, kw_only=True)
class ApplyMask(Recorded):
    """Fill everything outside a region that is the same in all images (fixed camera).

    The mask is stretched over each original image by nearest neighbour and then goes the way that
    the image's pixels went, so it fits all resize modes. Padding counts as outside.

    Parameters
    ----------
    width, height : int
        Size of the mask in pixels.
    packed : bytes
        Its rows one after another, 1 bit a pixel, 1 = kept (`numpy.packbits`).
    fill : int
        Grey level outside.
    """

    kind: ClassVar[str] = "mask"
    width: int
    height: int
    packed: bytes
    fill: int = MID_GREY

    def __post_init__(self) -> None:
        _check_int(self.kind, "width", self.width, 1, MAX_SIDE)
        _check_int(self.kind, "height", self.height, 1, MAX_SIDE)
        _check_int(self.kind, "fill", self.fill, 0, 255)
        needed = (self.width * self.height + 7) // 8
        if len(self.packed) != needed:
            raise SettingError(
                f"mask: {len(self.packed)} bytes were given for {self.width} x {self.height} bits "
                f"and {needed} are needed; make the model again."
            )

    @classmethod
    def from_array(cls, keep: np.ndarray, *, fill: int = MID_GREY) -> ApplyMask:
        """Make a mask of an array `[h, w]`; non-zero is kept."""
        if keep.ndim != 2 or not keep.any():
            raise SettingError(
                f"mask: an array of shape {keep.shape} with at least one kept pixel is needed; "
                "mark the region to inspect with non-zero values in [h, w]."
            )
        packed = np.packbits(keep.astype(bool)).tobytes()
        return cls(width=keep.shape[1], height=keep.shape[0], packed=packed, fill=fill)

    @classmethod
    def from_file(cls, path: str | Path, *, fill: int = MID_GREY) -> ApplyMask:
        """Read a mask image; what it marks is kept, see `mask_files.marked_in`. Raises `ImageError`."""
        return cls.from_array(marked_in(Path(path)), fill=fill)

    def apply(self, prepared: Prepared) -> Prepared:
        height, width = prepared.pixels.shape[:2]
        to, (orig_w, orig_h) = prepared.to_original, prepared.original_size
        x = np.floor((to.ax * (np.arange(width) + 0.5) + to.bx) * self.width / orig_w).astype(int)
        y = np.floor((to.ay * (np.arange(height) + 0.5) + to.by) * self.height / orig_h).astype(int)
        inside = ((y >= 0) & (y < self.height))[:, None] & ((x >= 0) & (x < self.width))[None]
        bits = np.unpackbits(np.frombuffer(self.packed, np.uint8), count=self.width * self.height)
        keep = bits.reshape(self.height, self.width).astype(bool)
        keep = keep[np.clip(y, 0, self.height - 1)[:, None], np.clip(x, 0, self.width - 1)[None]]
        pixels = prepared.pixels.copy()
        pixels[~(keep & inside)] = self.fill
        return prepared.with_pixels(pixels)


def _border_mean(pixels: Pixels) -> np.ndarray:
    edge = [pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]]
    mean: np.ndarray = np.rint(np.concatenate(edge).astype(np.float64).mean(axis=0))
    return mean


def _check_int(kind: str, name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingError(f"{kind}: {name} is {value!r} and must be a whole number from {low} to {high}.")


def _check_colour(kind: str, colour: object) -> None:
    if not isinstance(colour, tuple) or len(colour) != 3:
        raise SettingError(f"{kind}: the colour {colour!r} must be three numbers (r, g, b).")
    for part in colour:
        _check_int(kind, "colour", part, 0, 255)

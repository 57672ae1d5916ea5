"""One picture with what the inspector saw in it: heat map, region boxes, what was not looked at."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anomalens.images import Affine, Picture, Pixels
from anomalens.images.image_entry import ImageEntry
from anomalens.inspector.finding import Finding
from anomalens.reports.parts.colours import OPACITY, TABLE, UNSEEN, ColourScale

LONG_SIDE: Final = 1024
SMALL_SIDE: Final = 512  # small pictures are enlarged to this, so that boxes are not blocks
_ENLARGED: Final = 1.25  # what is enlarged by less looks as if it were not
_DARK: Final = (20, 16, 30)
_LIGHT: Final = (110, 235, 255)  # cyan: the one hue that the heat map never has


def picture_to_show(entry: ImageEntry, given: Picture | None, *, long_side: int = LONG_SIDE) -> Picture:
    """The given picture of an image, or the image decoded again where that is too small to be shown well.

    Shown it has a long side of at most `long_side` pixels. Raises `ImageError` where it cannot be decoded.
    """
    if given is not None:
        height, width = given.pixels.shape[:2]
        wanted = min(max(given.size), long_side)
        if (width, height) == given.size or _ENLARGED * max(width, height) >= wanted:
            return given
    return entry.read(reduce_to=long_side)


def plain_picture(pixels: Pixels, size: tuple[int, int]) -> Image.Image:
    """The picture as it is shown: at most `LONG_SIDE`, small ones enlarged.

    Parameters
    ----------
    pixels : uint8 or float32 [h, w, 3], 0-255
        Perhaps decoded at reduced size.
    size : (width, height)
        The original's size, in pixels.
    """
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    shown = shown_size(size)
    return picture if picture.size == shown else picture.resize(shown, Image.Resampling.BICUBIC)


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height at which an original of this size is shown, in pixels."""
    long = max(size)
    scale = LONG_SIDE / long if long > LONG_SIDE else max(1, SMALL_SIDE // long)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def render_overlay(pixels: Pixels, finding: Finding, scale: ColourScale | None) -> Image.Image:
    """The picture with its anomaly map blended over it and its regions outlined.

    Parameters
    ----------
    pixels : uint8 or float32 [h, w, 3], 0-255
        The original picture, perhaps decoded at reduced size.
    finding : Finding
        Without a map only the boxes are drawn.
    scale : ColourScale or None
        None for models without maps.

    Returns
    -------
    RGB image; parts that preprocessing cropped away are veiled, because nobody looked at them.
    """
    return overlaid(plain_picture(pixels, finding.original_size or pixels.shape[1::-1]), finding, scale)


def overlaid(plain: Image.Image, finding: Finding, scale: ColourScale | None) -> Image.Image:
    """As `render_overlay`, over what `plain_picture` gave, which stays as it is."""
    size = finding.original_size or plain.size
    if finding.map is not None and finding.map_to_original is not None and scale is not None:
        picture = _with_heat(plain, size, scale.levels(finding.map), finding.map_to_original)
    else:
        picture = plain.copy()
    _outline(picture, size, finding)
    return picture


def _with_heat(
    picture: Image.Image, size: tuple[int, int], levels: NDArray[np.uint8], to_original: Affine
) -> Image.Image:
    shown = picture.size
    # Pillow asks for the way from shown to map pixels, in coordinates from the outer edge.
    back = to_original.inverse()
    matrix = (
        back.ax * size[0] / shown[0], 0.0, back.bx,
        0.0, back.ay * size[1] / shown[1], back.by,
    )  # fmt: skip
    here = Image.fromarray(levels).transform(
        shown, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=UNSEEN
    )
    opacity = here.point(OPACITY.tolist())
    here.putpalette(TABLE.tobytes())
    return Image.composite(here.convert("RGB"), picture, opacity)


def _outline(picture: Image.Image, size: tuple[int, int], finding: Finding) -> None:
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    line = max(1, round(max(width, height) / 220))
    for region in finding.regions:
        x0, y0, x1, y1 = region.box
        box = [
            round(x0 * width / size[0]), round(y0 * height / size[1]),
            round(x1 * width / size[0]) - 1, round(y1 * height / size[1]) - 1,
        ]  # fmt: skip
        # A light line between two dark ones is seen on every photograph.
        for grow, colour, thick in ((2 * line, _DARK, 3 * line), (line, _LIGHT, line)):
            left, top = max(0, box[0] - grow), max(0, box[1] - grow)
            right, bottom = min(width - 1, box[2] + grow), min(height - 1, box[3] + grow)
            draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=thick)

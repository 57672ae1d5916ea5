"""Parts of the picture that are watched, each with a model of its own: polygons in a JSON file.

    {"areas": [{"name": "door", "polygon": [[0.1, 0.2], [0.4, 0.2], [0.4, 0.9]], "model": "door.anomalens"}]}

Corners are pixels of the frame, or shares of its width and height where all of them lie between 0 and 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from anomalens.images.arrays import Pixels
from anomalens.streams.frame import StreamError

_MOST_AREAS: Final = 100
_MOST_BYTES: Final = 2**20
_SMALLEST: Final = 8  # pixels, either side
_GREY: Final = 128


@dataclass(frozen=True)
class Area:
    """A polygon of the picture.

    Attributes
    ----------
    name : str
    polygon : tuple of (x, y)
        At least three corners.
    model : Path or None
        The model file that judges it.
    """

    name: str
    polygon: tuple[tuple[float, float], ...]
    model: Path | None = None

    def points(self, size: tuple[int, int]) -> list[tuple[float, float]]:
        """The corners in pixels of a frame of this (width, height); StreamError where one lies outside."""
        width, height = size
        shares = all(0 <= x <= 1 and 0 <= y <= 1 for x, y in self.polygon)
        corners = [(x * width, y * height) if shares else (x, y) for x, y in self.polygon]
        if any(not (0 <= x <= width and 0 <= y <= height) for x, y in corners):
            raise StreamError(
                f"The area {self.name!r} reaches beyond the frame of {width} x {height} px; draw it inside."
            )
        return corners

    def corners(self, size: tuple[int, int]) -> list[tuple[float, float]]:
        """The same; StreamError also where the area is smaller than 8 px."""
        corners = self.points(size)
        x0, y0, x1, y1 = self._box(corners, size)
        if x1 - x0 < _SMALLEST or y1 - y0 < _SMALLEST:
            raise StreamError(
                f"The area {self.name!r} is {x1 - x0} x {y1 - y0} px; give it {_SMALLEST} px each way."
            )
        return corners

    def cut(self, pixels: Pixels) -> tuple[Pixels, tuple[int, int]]:
        """The part of the picture, grey outside of the polygon, and where its upper left corner was."""
        size = pixels.shape[1], pixels.shape[0]
        corners = self.corners(size)
        x0, y0, x1, y1 = self._box(corners, size)
        inside = Image.new("1", (x1 - x0, y1 - y0))
        ImageDraw.Draw(inside).polygon([(x - x0, y - y0) for x, y in corners], fill=1)
        part = pixels[y0:y1, x0:x1].copy()
        part[~np.asarray(inside)] = _GREY
        return part, (x0, y0)

    @staticmethod
    def _box(corners: Sequence[tuple[float, float]], size: tuple[int, int]) -> tuple[int, int, int, int]:
        xs, ys = zip(*corners, strict=True)
        x1, y1 = min(size[0], int(np.ceil(max(xs)))), min(size[1], int(np.ceil(max(ys))))
        return int(min(xs)), int(min(ys)), x1, y1


def read_areas(file: Path) -> tuple[Area, ...]:
    """The areas of a JSON file; paths of models are relative to it.

    Raises
    ------
    StreamError
        It cannot be read, or is no list of areas with names of their own and three corners or more.
    """
    return tuple(_area(file, place, item) for place, item in enumerate(listed_in(file, "areas"), 1))


def listed_in(file: Path, key: str) -> list[Any]:
    """The list under a key of a JSON file, whose items have names of their own.

    Raises
    ------
    StreamError
        It cannot be read, is longer than a hundred, or two items have one name.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise StreamError(f"The file {file} is larger than 1 MB; {key} need far less.")
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StreamError(f"The {key} {file} cannot be read ({error.strerror}); check the path.") from None
    except ValueError as error:
        raise StreamError(f"The {key} {file} are no JSON ({error}).") from None
    listed = data.get(key) if isinstance(data, dict) else data
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_AREAS:
        example = f'{{"{key}": [{{"name": …, "polygon": [[x, y], …]}}]}}'
        raise StreamError(f"{file} lists no {key}; write {example}.")
    names = [item.get("name") for item in listed if isinstance(item, dict)]
    for name in names:
        if names.count(name) > 1:
            raise StreamError(f"{file} has two {key} named {name!r}; give each a name of its own.")
    return listed


def _area(file: Path, place: int, item: Any) -> Area:
    try:
        name, corners, model = item["name"], item["polygon"], item.get("model")
        polygon = tuple((float(x), float(y)) for x, y in corners)
        if not isinstance(name, str) or not name or not isinstance(model, str | None):
            raise TypeError
        if len(polygon) < 3 or not np.isfinite(polygon).all():
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StreamError(
            f"Area {place} of {file} needs a name, a polygon of three corners [x, y] or more, and perhaps a "
            "model."
        ) from None
    return Area(name, polygon, None if model is None else file.parent / model)

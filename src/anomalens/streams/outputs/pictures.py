"""Pictures of events, and a video in which they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from anomalens.calibration.regions import Box
from anomalens.packages import opencv
from anomalens.reports import ColourScale, render_overlay
from anomalens.streams.events import Event
from anomalens.streams.frame import Gap, StreamError
from anomalens.streams.watching import Watched

_RED, _WHITE = (235, 60, 60), (255, 255, 255)


class Snapshots:
    """The frame at each event's peak, with what was seen in it: DIR/event-0001-door.jpg."""

    def __init__(self, folder: Path, scale: ColourScale | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._scale = folder, scale

    def add(self, found: Sequence[Watched]) -> None:
        for one in found:
            for event in one.events:
                picture = picture_of(event, one, self._scale)
                if picture is not None:
                    picture.save(self._folder / f"{name_of(event)}.jpg", quality=88)

    def gap(self, gap: Gap) -> None:
        return

    def close(self) -> None:
        return


def name_of(event: Event) -> str:
    """A file's name for an event, the same while it lasts and when it is over."""
    area = "" if event.area is None else "-" + "".join(c if c.isalnum() else "_" for c in event.area)[:40]
    return f"event-{event.number:04d}{area}"


def picture_of(event: Event, one: Watched, scale: ColourScale | None) -> Image.Image | None:
    """The frame at the event's peak, or what was seen of it."""
    if event.frame is None:
        return None
    if event.finding is None:  # of a zone
        return drawn(event.frame.pixels, [], event=True, text=event.text[:80], boxes=[event.box])
    if one.area is None:
        return render_overlay(event.frame.pixels, event.finding, scale)
    return drawn(event.frame.pixels, [(one, event.finding.regions)], event=True)


def drawn(
    pixels: np.ndarray,
    seen: Sequence[tuple[Watched, Sequence[Any]]],
    *,
    event: bool,
    text: str = "",
    boxes: Sequence[Box | None] = (),
) -> Image.Image:
    """The frame with areas, regions and a text; a red border while an event is under way."""
    picture = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    wide = max(1, picture.width // 300)
    for one, regions in seen:
        if one.area is not None:
            corners = one.area.corners(picture.size)
            draw.line([*corners, corners[0]], fill=_WHITE, width=wide)
        for region in regions:
            draw.rectangle(region.box, outline=_RED, width=wide)
    for box in boxes:
        if box is not None:
            draw.rectangle(box, outline=_RED, width=wide)
    if event:
        draw.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=_RED, width=3 * wide)
    if text:
        draw.rectangle((0, 0, 8 + 7 * len(text), 18), fill=(0, 0, 0))
        draw.text((4, 3), text, fill=_WHITE)
    return picture


class AnnotatedVideo:
    """An MP4 of all scored frames with scores, areas, regions and events."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._writer: Any = None
        self._size = (0, 0)
        self._last = -1

    def add(self, found: Sequence[Watched]) -> None:
        number = found[0].frame.moment.frame
        if number <= self._last:
            return
        self._last = number
        score = max((one.smooth for one in found if one.smooth is not None), default=None)
        text = str(found[0].frame.moment) + ("" if score is None else f"  {score:.3g}")
        regions = [(one, one.finding.regions if one.finding.anomalous else ()) for one in found]
        during = any(one.during for one in found)
        picture = drawn(found[0].frame.pixels, regions, event=during, text=text)
        writer = self._opened(picture.size)
        if picture.size != self._size:
            picture = picture.resize(self._size)
        writer.write(np.ascontiguousarray(np.asarray(picture)[..., ::-1]))

    def gap(self, gap: Gap) -> None:
        return

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def _opened(self, size: tuple[int, int]) -> Any:
        if self._writer is None:
            cv2 = opencv()
            self._size = size
            self._writer = cv2.VideoWriter(
                str(self._path), cv2.VideoWriter_fourcc(*"mp4v"), self._fps, self._size
            )
            if not self._writer.isOpened():
                raise StreamError(f"{self._path} cannot be written as MP4; give another place or name.")
        return self._writer

"""A page of what is going on: the last picture, the trace of the score, the events; plain files."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.reports import ColourScale
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.line_chart import Line, Scale, line_chart
from anomalens.reports.parts.page import html_page
from anomalens.reports.parts.texts import counted
from anomalens.streams.events import Event
from anomalens.streams.frame import Gap
from anomalens.streams.outputs.pictures import drawn, name_of, picture_of
from anomalens.streams.watching import Figures, Watched

_EVERY: Final = 1.0  # seconds between two writings
_TRACE: Final = 600  # points of the trace
_EVENTS: Final = 50  # that the page shows
_GAPS: Final = 20
_REFRESH: Final = '<meta http-equiv="refresh" content="2">'


class LivePage:
    """DIR/index.html, which a browser loads again every two seconds, with its pictures beside it."""

    def __init__(
        self, folder: Path, name: str, figures: Figures, limit: float, scale: ColourScale | None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._figures, self._limit, self._scale = (
            folder,
            name,
            figures,
            limit,
            scale,
        )
        self._trace: deque[tuple[float, float]] = deque(maxlen=_TRACE)
        self._events: dict[int, tuple[Event, str | None]] = {}
        self._gaps: deque[Gap] = deque(maxlen=_GAPS)
        self._last: Sequence[Watched] = ()
        self._written = -_EVERY

    def add(self, found: Sequence[Watched]) -> None:
        smooth = [one.smooth for one in found if one.smooth is not None]
        if smooth:
            self._trace.append((found[0].frame.moment.seconds, max(smooth)))
        self._last = found
        for one in found:
            for event in one.events:
                self._keep(event, one)
        if time.monotonic() - self._written >= _EVERY:
            self._write(over=False)

    def gap(self, gap: Gap) -> None:
        self._gaps.append(gap)
        self._write(over=False)

    def close(self) -> None:
        self._write(over=True)

    def _keep(self, event: Event, one: Watched) -> None:
        picture, file = picture_of(event, one, self._scale), None
        if picture is not None:
            file = f"{name_of(event)}.jpg"
            _placed(self._folder / file, lambda path: picture.save(path, "JPEG", quality=85))
        self._events[event.number] = event, file
        while len(self._events) > _EVENTS:
            oldest = next(iter(self._events))
            _, name = self._events.pop(oldest)
            if name is not None:
                (self._folder / name).unlink(missing_ok=True)

    def _write(self, *, over: bool) -> None:
        self._written = time.monotonic()
        if self._last:
            during = any(one.during for one in self._last)
            regions = [(one, one.finding.regions if one.finding.anomalous else ()) for one in self._last]
            picture = drawn(self._last[0].frame.pixels, regions, event=during)
            _placed(self._folder / "now.jpg", lambda path: picture.save(path, "JPEG", quality=80))
        text = html_page(f"Watching {self._name}", self._blocks(over), beside=(), images="'self' file: data:")
        if not over:
            text = text.replace("<head>", f"<head>{_REFRESH}", 1)
        _placed(self._folder / "index.html", lambda path: path.write_text(text, encoding="utf-8"))

    def _blocks(self, over: bool) -> list[doc.Block]:
        figures = self._figures
        under_way = sum(not event.over for event, _ in self._events.values())
        state = "over" if over else "an event is under way" if under_way else "nothing out of the ordinary"
        blocks: list[doc.Block] = [
            doc.Heading(1, f"{self._name}: {state}", "flagged" if under_way and not over else "unflagged"),
            doc.Facts(
                (
                    ("frames", f"{figures.frames}, {figures.per_second():.1f} a second"),
                    ("latency", f"{figures.latency(0.5):.0f} ms, 99 %: {figures.latency(0.99):.0f} ms"),
                    ("events", str(figures.events)),
                )
            ),
        ]
        if self._last:
            at = self._last[0].frame.moment
            # a name that changes, so that a browser does not show what it kept
            photo = doc.Photo(f"now.jpg?{at.frame}", "The last frame", str(at))
            blocks.append(doc.Photos((photo,)))
        if len(self._trace) > 1:
            blocks.append(doc.Box((self._chart(),), "curves"))
        shown = sorted(self._events.values(), key=lambda pair: -pair[0].start.seconds)
        if shown:
            blocks.append(doc.Heading(2, counted(len(shown), "event")))
            blocks.append(doc.Box(tuple(_entry(event, file) for event, file in shown), "entries"))
        if self._gaps:
            blocks.append(doc.Heading(2, "The stream itself"))
            blocks.append(doc.Bullets(tuple(f"{gap.moment}: {gap.text}" for gap in reversed(self._gaps))))
        return blocks

    def _chart(self) -> doc.Block:
        points = np.array(self._trace)
        ends = np.array([[points[0, 0], self._limit], [points[-1, 0], self._limit]])
        values = np.r_[points[:, 1], self._limit]
        lines = [Line(points, "smoothed score"), Line(ends, "threshold", 1, "7 4")]
        scales = Scale.over("seconds", points[:, 0]), Scale.over("smoothed score", values, pad=0.05)
        spoken = "The smoothed score over time, and the threshold"
        return line_chart(lines, *scales, spoken=spoken, caption="")


def _entry(event: Event, file: str | None) -> doc.Entry:
    area = "" if event.area is None else f" in {event.area}"
    photos = () if file is None else (doc.Photo(file, "The frame at the peak", f"peak at {event.peak}"),)
    figures = (("score ", doc.Mark(f"{event.score:.3g}")), ("frames ", doc.Mark(str(event.frames))))
    said = event.finding.explanation if event.finding is not None else event.text
    return doc.Entry(
        "over" if event.over else "under way",
        f"{event.start} to {event.end}{area}",
        "unflagged" if event.over else "flagged",
        photos,
        figures,
        () if said is None else (doc.Paragraph(said),),
    )


def _placed(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside and move into place, so that a browser never reads half a file."""
    half = path.with_suffix(".half")
    write(half)
    os.replace(half, path)  # noqa: PTH105

"""Watching a stream: each frame is scored by the inspector of each area, scores are smoothed, events told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from anomalens.calibration.regions import Region
from anomalens.images.arrays import Pixels
from anomalens.inspector import Inspector
from anomalens.inspector.finding import Finding
from anomalens.streams.areas import Area
from anomalens.streams.change import differs, small_picture
from anomalens.streams.events import Event, EventMaker, Rules
from anomalens.streams.frame import Frame, Gap
from anomalens.streams.zone_events import ZoneEvents

_LATENCIES: int = 1000  # of the last frames


@dataclass(frozen=True, eq=False)
class Watched:
    """What was found in one area of one frame.

    Attributes
    ----------
    frame : Frame
    area : Area or None
    finding : Finding
        Its regions are in pixels of the frame.
    smooth : float or None
        The smoothed score; None where the frame could not be scored.
    events : tuple of Event
        That began or ended with this frame.
    during : bool
        Whether an event is under way.
    """

    frame: Frame
    area: Area | None
    finding: Finding
    smooth: float | None
    events: tuple[Event, ...]
    during: bool


@dataclass
class Figures:
    """Counts and times while a stream is watched."""

    began: float = field(default_factory=time.monotonic)
    frames: int = 0
    failed: int = 0
    events: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))

    def per_second(self) -> float:
        """Frames a second since the beginning."""
        return self.frames / max(1e-9, time.monotonic() - self.began)

    def latency(self, quantile: float) -> float:
        """Milliseconds from a frame's arrival to its answer, of the last 1000 frames."""
        return 1000 * float(np.quantile(self.latencies, quantile)) if self.latencies else 0.0


class AreaWatch:
    """One area, or the whole picture, with its inspector and its events."""

    def __init__(
        self,
        inspector: Inspector,
        rules: Rules,
        area: Area | None = None,
        *,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.inspector, self.area = inspector, area
        self.maker = EventMaker(rules, None if area is None else area.name, numbers=numbers)
        self._before: deque[Frame] = deque(maxlen=2 * inspector.detector.earlier + 1)

    def saw(self, frame: Frame) -> None:
        """A frame that came by, whether or not it is scored: others may be compared with it."""
        if self.inspector.detector.earlier:
            if self._before and self._before[-1].pixels.shape != frame.pixels.shape:
                self._before.clear()
            self._before.append(frame)

    def look(self, frame: Frame) -> Watched:
        """Score a frame and say what it means."""
        pixels, corner = self._part(frame)
        reference = None
        if self.inspector.detector.earlier:
            before = self._earlier(frame)
            if before is None:
                missing = Finding(image=frame.name, error="the frame to compare it with was dropped")
                return Watched(frame, self.area, missing, None, (), self.maker.under_way)
            reference = self._part(before)[0]
        finding = self.inspector.answer(pixels, frame.name, reference=reference, explain="flagged")
        if finding.score is None:
            return Watched(frame, self.area, finding, None, (), self.maker.under_way)
        finding = _moved(finding, corner)
        smooth, events = self.maker.add(frame, finding)
        return Watched(frame, self.area, finding, smooth, tuple(events), self.maker.under_way)

    def _part(self, frame: Frame) -> tuple[Pixels, tuple[int, int]]:
        return (frame.pixels, (0, 0)) if self.area is None else self.area.cut(frame.pixels)

    def _earlier(self, frame: Frame) -> Frame | None:
        """The frame so many before, or one beside it; a stream's first ones are compared with its very first.

        Speeds are those of the gap that was learnt, so that nothing else will do.
        """
        wanted = frame.moment.frame - self.inspector.detector.earlier
        near = [one for one in self._before if abs(one.moment.frame - wanted) <= 1]
        if near:
            return min(near, key=lambda one: abs(one.moment.frame - wanted))
        first = self._before[0] if self._before else frame
        begins = frame.moment.frame - first.moment.frame < self.inspector.detector.earlier
        return first if begins and len(self._before) <= self.inspector.detector.earlier else None

    def interrupted(self) -> None:
        """Frames are missing: nothing is compared or averaged across."""
        self._before.clear()
        self.maker.interrupted()

    def finish(self, frame: Frame) -> Iterator[Watched]:
        """The event that is under way when the stream ends with this frame."""
        for event in self.maker.finish():
            assert event.finding is not None
            yield Watched(frame, self.area, event.finding, None, (event,), False)


class ZonesWatch:
    """All zones of the picture: what moves is followed."""

    def saw(self, frame: Frame) -> None:
        """A frame that came by; those that are not looked at say nothing."""
        return

    def __init__(self, events: ZoneEvents) -> None:
        self.events = events

    def look(self, frame: Frame) -> Watched:
        """What happens in the zones."""
        told = tuple(self.events.look(frame))
        return Watched(frame, None, Finding(image=frame.name), None, told, self.events.under_way)

    def interrupted(self) -> None:
        """Frames are missing: what is followed is lost by itself."""
        return

    def finish(self, frame: Frame) -> Iterator[Watched]:
        """What is under way when the stream ends with this frame."""
        for event in self.events.finish():
            yield Watched(frame, None, Finding(image=frame.name), None, (event,), False)


def watch(
    items: Iterable[Frame | Gap],
    areas: Sequence[AreaWatch | ZonesWatch],
    *,
    every: int = 1,
    changed: float = 0.0,
    figures: Figures | None = None,
) -> Iterator[Gap | list[Watched]]:
    """Frames and gaps in, what was found out; at the end the events that are still under way.

    Parameters
    ----------
    items : iterable of Frame or Gap
        A stream's frames, or a `Waiting` queue of them.
    every : int
        Only each frame whose number is a multiple of this is scored.
    changed : float
        Only frames that differ from the last scored one by so much are scored, in grey levels (0 to 255) of
        the tenth of the picture that differs most.
    """
    figures = Figures() if figures is None else figures
    last: np.ndarray | None = None
    frame: Frame | None = None
    for item in items:
        if isinstance(item, Gap):
            if item.kind in ("lost", "resized"):
                for area in areas:
                    area.interrupted()
            yield item
            continue
        for area in areas:
            area.saw(item)
        if item.moment.frame % every:
            continue
        frame = item
        if changed > 0:
            small = small_picture(item.pixels)
            if last is not None and differs(small, last) < changed:
                continue
            last = small
        found = [area.look(item) for area in areas]
        figures.frames += 1
        figures.failed += any(one.finding.error is not None for one in found)
        figures.events += sum(not event.over for one in found for event in one.events)
        figures.latencies.append(time.monotonic() - item.arrived)
        yield found
    if frame is not None:
        for area in areas:
            for one in area.finish(frame):
                yield [one]


def _moved(finding: Finding, corner: tuple[int, int]) -> Finding:
    x, y = corner
    if not (x or y) or not finding.regions:
        return finding
    regions = tuple(_shifted(region, x, y) for region in finding.regions)
    return replace(finding, regions=regions)


def _shifted(region: Region, x: int, y: int) -> Region:
    x0, y0, x1, y1 = region.box
    return replace(region, box=(x0 + x, y0 + y, x1 + x, y1 + y))

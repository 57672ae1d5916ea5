"""Events: stretches of time in which scores are high, with a start, an end, a peak and evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from anomalens.calibration.regions import Box
from anomalens.inspector.finding import Finding
from anomalens.streams.frame import Frame, Moment
from anomalens.streams.smoothing import PastAverage


@dataclass(frozen=True)
class Rules:
    """When an event begins and ends.

    Attributes
    ----------
    high, low : float
        Smoothed score at which an event begins, and below which it ends.
    smoothing : float
        Time constant of the average of the past, in seconds; 0 takes scores as they are.
    at_least : float
        Seconds that a score must stay high before an event is told.
    pause : float
        Seconds below `low` after which an event has ended; shorter pauses belong to it.
    """

    high: float
    low: float
    smoothing: float = 0.2
    at_least: float = 0.2
    pause: float = 1.0


@dataclass(frozen=True)
class Event:
    """Something out of the ordinary, while it lasts and when it is over.

    Attributes
    ----------
    number : int
        From 1, in the order of their beginnings.
    area : str or None
        The area of the picture, or the zone, where these are told apart.
    start, end, peak : Moment
    score : float
        The highest smoothed score.
    frames : int
    over : bool
    finding : Finding or None
        What the inspector says of the frame at the peak.
    frame : Frame or None
        That frame.
    kind : str
        "unusual", or what happened in a zone.
    text : str
        What happened there, in words.
    box : (x0, y0, x1, y1) or None
        Where.
    """

    number: int
    area: str | None
    start: Moment
    end: Moment
    peak: Moment
    score: float
    frames: int = 1
    over: bool = False
    finding: Finding | None = field(default=None, compare=False)
    frame: Frame | None = field(default=None, compare=False, repr=False)
    kind: str = "unusual"
    text: str = ""
    box: Box | None = None

    def to_json(self) -> dict[str, Any]:
        """One line of `watch --events`."""
        finding = self.finding
        return {
            "event": self.number,
            "area": self.area,
            "kind": self.kind,
            "state": "over" if self.over else "began",
            "start": round(self.start.seconds, 3),
            "end": round(self.end.seconds, 3),
            "peak": round(self.peak.seconds, 3),
            "start_frame": self.start.frame,
            "end_frame": self.end.frame,
            "peak_frame": self.peak.frame,
            "frames": self.frames,
            "score": self.score,
            "p_value": None if finding is None else finding.p_value,
            "regions": self._regions(),
            "label": None if finding is None else finding.label,
            "evidence": (self.text or None) if finding is None else finding.explanation,
        }

    def _regions(self) -> list[dict[str, Any]]:
        if self.finding is not None:
            return [region.to_json() for region in self.finding.regions]
        if self.box is None:
            return []
        x0, y0, x1, y1 = self.box
        return [{"box": list(self.box), "area": (x1 - x0) * (y1 - y0), "peak": None}]


class EventMaker:
    """Smooths the scores of one area and turns them into events; knows the past alone.

    An event is told once when it has lasted `at_least` seconds, and once when it is over. The delay of the
    first is `at_least` seconds and what smoothing adds; that of the second is `pause` seconds.
    """

    def __init__(
        self, rules: Rules, area: str | None = None, *, numbers: Iterator[int] | None = None
    ) -> None:
        self.rules, self._area, self._numbers = rules, area, count(1) if numbers is None else numbers
        self._average = PastAverage(rules.smoothing)
        self._event: Event | None = None
        self._told = False

    @property
    def under_way(self) -> bool:
        """Whether an event has been told that is not over."""
        return self._event is not None and self._told

    def add(self, frame: Frame, finding: Finding) -> tuple[float, list[Event]]:
        """The smoothed score after this frame, and events that begin or end with it."""
        assert finding.score is not None
        moment, events = frame.moment, []
        smooth = self._average.add(finding.score, moment.seconds)
        event = self._event
        if event is not None and moment.seconds - event.end.seconds > self.rules.pause:
            events += self._over()
            event = None
        if event is None and smooth >= self.rules.high:
            event = Event(0, self._area, moment, moment, moment, smooth, finding=finding, frame=frame)
        elif event is not None and smooth >= self.rules.low:
            event = replace(event, end=moment, frames=event.frames + 1)
            if smooth > event.score:
                event = replace(event, peak=moment, score=smooth, finding=finding, frame=frame)
        self._event = event
        lasted = 0.0 if event is None else event.end.seconds - event.start.seconds
        if event is not None and not self._told and lasted >= self.rules.at_least:
            self._told = True
            self._event = event = replace(event, number=next(self._numbers))
            events.append(event)
        return smooth, events

    def finish(self) -> Iterator[Event]:
        """The event that is under way when the stream ends."""
        yield from self._over()

    def interrupted(self) -> None:
        """The stream was lost: what comes next is not averaged with what was before."""
        self._average = PastAverage(self.rules.smoothing)

    def _over(self) -> list[Event]:
        event, told = self._event, self._told
        self._event, self._told = None, False
        return [replace(event, over=True)] if event is not None and told else []

"""Events of zones: who moves is followed, each zone is asked, and what lasts is one event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from anomalens.streams.events import Event
from anomalens.streams.frame import Frame
from anomalens.streams.movers import Movers
from anomalens.streams.tracks import Track, Tracks
from anomalens.streams.zones import Breach, Zone, ZoneWatch


class ZoneEvents:
    """What happens in the zones of one stream.

    Attributes
    ----------
    tracks : list of Track
        What is seen to move in the last frame.
    watches : tuple of ZoneWatch
    """

    def __init__(
        self, zones: Sequence[Zone], *, pause: float = 1.0, numbers: Iterator[int] | None = None
    ) -> None:
        self.watches = tuple(ZoneWatch(zone) for zone in zones)
        self.tracks: list[Track] = []
        self._pause, self._numbers = pause, count(1) if numbers is None else numbers
        self._movers, self._followed = Movers(), Tracks()
        self._under_way: dict[str, Event] = {}

    @property
    def under_way(self) -> bool:
        """Whether something is happening in a zone."""
        return bool(self._under_way)

    def look(self, frame: Frame) -> list[Event]:
        """Events that begin or end with this frame."""
        movers = self._movers.look(frame.pixels)
        if not self._movers.ready:
            return []
        self.tracks = self._followed.follow(movers, frame.moment)
        size = frame.pixels.shape[1], frame.pixels.shape[0]
        events = [
            told
            for watch in self.watches
            for told in self._told(watch.zone, list(watch.look(self.tracks, frame.moment, size)), frame)
        ]
        return events

    def _told(self, zone: Zone, breaches: Sequence[Breach], frame: Frame) -> Iterator[Event]:
        event = self._under_way.get(zone.name)
        if event is not None and frame.moment.seconds - event.end.seconds > self._pause:
            del self._under_way[zone.name]
            yield replace(event, over=True)
            event = None
        if not breaches:
            return
        first = breaches[0]
        if event is None:
            number = next(self._numbers)
            moment = frame.moment
            start = replace(moment, seconds=max(0.0, min(moment.seconds, first.since)))
            box = first.tracks[0].box if first.tracks else None
            event = Event(
                number, zone.name, start, moment, moment, float(len(breaches)), frame=frame,
                kind=zone.kind, text="; ".join(one.text for one in breaches), box=box,
            )  # fmt: skip
            yield event
        else:
            event = replace(event, end=frame.moment, frames=event.frames + 1)
            if len(breaches) > event.score:
                event = replace(event, score=float(len(breaches)), peak=frame.moment, frame=frame)
        self._under_way[zone.name] = event

    def finish(self) -> Iterator[Event]:
        """What is under way when the stream ends."""
        for event in self._under_way.values():
            yield replace(event, over=True)
        self._under_way = {}

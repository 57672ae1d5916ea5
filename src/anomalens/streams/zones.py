"""Zones and lines of the picture, and what may not happen there: a JSON file.

    {"zones": [{"name": "till", "kind": "crowd", "polygon": [[0, 0.5], [0.5, 0.5], [0.5, 1]], "limit": 6},
               {"name": "door", "kind": "wrong-way", "line": [[0.4, 0.2], [0.4, 0.8]]}]}

| kind | told when | `limit` |
| --- | --- | --- |
| `forbidden` | something stands in the polygon | seconds |
| `loitering` | one thing has been in the polygon for longer | seconds |
| `left-behind` | one thing in the polygon has not moved for longer | seconds |
| `crowd`, `empty` | more, or fewer, things are in the polygon for a second | how many |
| `wrong-way` | something crosses the line from the right to the left of its direction | - |

A thing is where the middle of its lower edge is. Limits that are not given are learnt from normal video.
`"off": true` switches a zone off without deleting it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomalens.streams.areas import Area, listed_in
from anomalens.streams.frame import Moment, StreamError
from anomalens.streams.tracks import Track

KINDS: Final = ("forbidden", "loitering", "left-behind", "crowd", "empty", "wrong-way")
_SECONDS: Final = {"forbidden": 0.2, "loitering": 30.0, "left-behind": 30.0}  # where nothing was learnt
_INERTIA: Final = 3  # frames, before a thing counts as inside
_STILL: Final = 0.03  # of the picture's width, within which a thing has not moved
_AWAY: Final = 1.0  # seconds outside, after which a thing has left
_STEADY: Final = 1.0  # seconds for which a number of things is taken
_MORE: Final = 1.25  # than the longest stay, or the largest crowd, of normal video


@dataclass(frozen=True)
class Zone:
    """One zone; `place` is its polygon, or the two ends of its line."""

    name: str
    kind: str
    place: Area
    limit: float | None = None

    def holds(self, foot: tuple[float, float], size: tuple[int, int]) -> bool:
        """Whether a point lies in the polygon (even-odd rule)."""
        x, y = foot
        corners = self.place.points(size)
        inside = False
        for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
                inside = not inside
        return inside


@dataclass(frozen=True)
class Breach:
    """What happened in a zone: since when, who, and in words."""

    zone: Zone
    since: float
    text: str
    tracks: tuple[Track, ...]


@dataclass
class ZoneWatch:
    """One zone while a stream is watched; `longest` and `counts` are what a limit is learnt from."""

    zone: Zone
    longest: float = 0.0
    counts: deque[int] = field(default_factory=lambda: deque(maxlen=1_000_000))
    _inside: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    _side: dict[int, float] = field(default_factory=dict)
    _lately: deque[tuple[float, int]] = field(default_factory=deque)

    def look(self, tracks: Sequence[Track], moment: Moment, size: tuple[int, int]) -> Iterator[Breach]:
        """What is wrong now; the same thing is told again in each frame while it lasts."""
        now = moment.seconds
        if self.zone.kind == "wrong-way":
            yield from self._crossings(tracks, now, size)
            return
        here = [track for track in tracks if self.zone.holds(track.foot, size)]
        self._remember(here, now)
        if self.zone.kind in ("crowd", "empty"):
            yield from self._number(here, now)
            return
        limit = _SECONDS[self.zone.kind] if self.zone.limit is None else self.zone.limit
        for track in here:
            frames, since, _ = self._inside[track.number]
            stay = now - since
            if self.zone.kind == "left-behind":
                stay = min(stay, track.still_for(_STILL * size[0]))
            if frames >= _INERTIA:
                self.longest = max(self.longest, stay)
                if stay >= limit:
                    yield Breach(self.zone, now - stay, self._words(stay, track), (track,))

    def _words(self, stay: float, track: Track) -> str:
        verb = {"forbidden": "is in", "loitering": "has been in", "left-behind": "has not moved in"}
        return f"thing {track.number} {verb[self.zone.kind]} {self.zone.name} for {stay:.1f} s"

    def _remember(self, here: Sequence[Track], now: float) -> None:
        for number in [number for number, (_, _, last) in self._inside.items() if now - last > _AWAY]:
            del self._inside[number]
        for track in here:
            frames, since, _ = self._inside.get(track.number, (0, now, now))
            self._inside[track.number] = frames + 1, since, now

    def _number(self, here: Sequence[Track], now: float) -> Iterator[Breach]:
        inside = tuple(track for track in here if self._inside[track.number][0] >= _INERTIA)
        self._lately.append((now, len(inside)))
        whole = now - self._lately[0][0] >= 0.8 * _STEADY
        while self._lately and now - self._lately[0][0] > _STEADY:
            self._lately.popleft()
        steady = int(np.median([count for _, count in self._lately]))
        if whole:
            self.counts.append(steady)
        limit, since = self.zone.limit, self._lately[0][0]
        if limit is None or not whole:
            return
        many, few = steady > limit, steady < limit
        if (self.zone.kind == "crowd" and many) or (self.zone.kind == "empty" and few):
            word = "more" if many else "fewer"
            said = f"{steady} things in {self.zone.name}, {word} than {limit:g}"
            yield Breach(self.zone, since, said, inside)

    def _crossings(self, tracks: Sequence[Track], now: float, size: tuple[int, int]) -> Iterator[Breach]:
        (ax, ay), (bx, by) = self.zone.place.points(size)[:2]
        for track in tracks:
            x, y = track.foot
            side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
            before = self._side.get(track.number)
            self._side[track.number] = side
            # on a screen, whose y grows downward, right of the direction is where `side` is positive
            if before is not None and before > 0 >= side and 0 <= along <= 1 and track.seen >= _INERTIA:
                yield Breach(
                    self.zone, now, f"thing {track.number} crossed {self.zone.name} the wrong way", (track,)
                )
        if len(self._side) > 10_000:
            self._side = dict(list(self._side.items())[-1000:])

    def learnt(self) -> Zone:
        """The zone with a limit that the normal video stayed below, if none was given."""
        if self.zone.limit is not None or self.zone.kind in ("wrong-way", "forbidden"):
            return self.zone
        if self.zone.kind == "crowd":
            return replace(self.zone, limit=float(np.ceil(_MORE * max(self.counts, default=0))))
        if self.zone.kind == "empty":
            return replace(self.zone, limit=float(np.floor(min(self.counts, default=0) / _MORE)))
        return replace(self.zone, limit=max(1.0, _MORE * self.longest))


def read_zones(file: Path) -> tuple[Zone, ...]:
    """The zones of a JSON file that are not off.

    Raises
    ------
    StreamError
        It cannot be read, or a zone is none.
    """
    return tuple(
        zone
        for zone in (_zone(file, i, item) for i, item in enumerate(listed_in(file, "zones"), 1))
        if zone is not None
    )


def write_learnt(file: Path, out: Path, watches: Sequence[ZoneWatch]) -> None:
    """The same file with the limits that normal video taught."""
    limits = {one.zone.name: one.learnt().limit for one in watches}
    items = [dict(item) for item in listed_in(file, "zones")]
    for item in items:
        if item.get("limit") is None and limits.get(item["name"]) is not None:
            item["limit"] = round(float(limits[item["name"]] or 0), 2)
    out.write_text(json.dumps({"zones": items}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _zone(file: Path, place: int, item: Any) -> Zone | None:
    try:
        name, kind, limit = item["name"], item["kind"], item.get("limit")
        corners = item["line"] if kind == "wrong-way" else item["polygon"]
        polygon = tuple((float(x), float(y)) for x, y in corners)
        if not isinstance(name, str) or not name or isinstance(limit, str | bool):
            raise TypeError
        if len(polygon) < (2 if kind == "wrong-way" else 3) or not np.isfinite(polygon).all():
            raise ValueError
        limit = None if limit is None else float(limit)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StreamError(
            f"Zone {place} of {file} needs a name, a kind ({', '.join(KINDS)}) and a polygon [[x, y], …], or "
            "for wrong-way a line of two points."
        ) from None
    if kind not in KINDS:
        raise StreamError(f"Zone {name!r} of {file} has the kind {kind!r:.40}; give {', '.join(KINDS)}.")
    return None if item.get("off") is True else Zone(name, kind, Area(name, polygon), limit)

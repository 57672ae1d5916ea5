"""Events as JSON lines, and scores as one JSON list."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from anomalens.streams.frame import Gap
from anomalens.streams.watching import Watched


class EventLines:
    """One JSON object a line: events that begin and end, and gaps in the stream."""

    def __init__(self, write: Callable[[str], None], close: Callable[[], None] | None = None) -> None:
        self._write, self._close = write, close

    @classmethod
    def to_file(cls, path: Path) -> EventLines:
        """Appends to a file, line by line, so that a stop loses none."""
        file = path.open("a", encoding="utf-8", buffering=1)
        return cls(lambda line: _written(file.write(line + "\n")), file.close)

    def add(self, found: Sequence[Watched]) -> None:
        for one in found:
            for event in one.events:
                self._write(json.dumps(event.to_json(), ensure_ascii=False))

    def gap(self, gap: Gap) -> None:
        at = {"seconds": round(gap.moment.seconds, 3), "frame": gap.moment.frame}
        self._write(json.dumps({"gap": gap.kind, **at, "text": gap.text}, ensure_ascii=False))

    def close(self) -> None:
        if self._close is not None:
            self._close()


def _written(_count: int) -> None:
    return


class ScoreList:
    """A JSON list with one score a frame, in the order of the stream; null for frames without one.

    It is written as it grows, so that memory does not. Of several areas the highest score counts.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._next, self._first = 0, True
        self._file.write("[")

    def add(self, found: Sequence[Watched]) -> None:
        number = found[0].frame.moment.frame
        if number < self._next:
            return  # events that end with the stream name its last frame again
        scores = [one.finding.score for one in found if one.finding.score is not None]
        for _ in range(number - self._next):
            self._put("null")
        self._put(repr(max(scores)) if scores else "null")
        self._next = number + 1

    def gap(self, gap: Gap) -> None:
        return

    def close(self) -> None:
        self._file.write("]\n")
        self._file.close()

    def _put(self, text: str) -> None:
        self._file.write(text if self._first else f",\n{text}")
        self._first = False

"""The queue between reading and scoring: bounded; live streams drop the oldest, files wait."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from anomalens.streams.frame import Frame, Gap, Moment, StreamError
from anomalens.streams.waiting import Waiting

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Made:
    """Frames as fast as they are taken, then perhaps an error."""

    fps: float | None = None

    def __init__(self, count: int, *, live: bool, fails: bool = False) -> None:
        self.name, self.live, self._count, self._fails = "made", live, count, fails
        self.given, self.closed = 0, False

    def frames(self) -> Iterator[Frame | Gap]:
        for number in range(self._count):
            if self.closed:
                return
            if number == 5:
                yield Gap("lost", Moment(number, number), "lost")
            self.given += 1
            yield Frame(PICTURE, Moment(number, float(number)), f"f{number}")
        if self._fails:
            raise StreamError("it broke")

    def done(self, frame: Frame) -> None:
        return

    def close(self) -> None:
        self.closed = True


def test_a_file_waits_and_loses_nothing() -> None:
    stream = Made(50, live=False)
    waiting = Waiting(stream, room=4)
    time.sleep(0.05)
    assert stream.given <= 6
    frames = [item for item in waiting if isinstance(item, Frame)]
    assert [frame.moment.frame for frame in frames] == list(range(50)) and waiting.dropped == 0
    waiting.close()


def test_a_live_stream_drops_the_oldest_counts_them_and_keeps_gaps() -> None:
    waiting = Waiting(Made(50, live=True), room=4)
    time.sleep(0.1)
    items = list(waiting)
    numbers = [item.moment.frame for item in items if isinstance(item, Frame)]
    assert numbers == [46, 47, 48, 49] and waiting.dropped == 46
    assert [item.kind for item in items if isinstance(item, Gap)] == ["lost"]
    waiting.close()


def test_an_error_is_raised_after_what_came_before() -> None:
    waiting = Waiting(Made(3, live=False, fails=True))
    seen = []
    with pytest.raises(StreamError, match="it broke"):
        for item in waiting:
            seen.append(item)
    assert len(seen) == 3
    waiting.close()


def test_closing_ends_the_thread_and_the_stream() -> None:
    stream = Made(10**9, live=False)
    waiting = Waiting(stream, room=2)
    next(iter(waiting))
    waiting.close()
    assert stream.closed and not waiting._thread.is_alive()

"""A bounded queue between a stream that is read in a thread and whoever scores it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from anomalens.streams.frame import Frame, FrameStream, Gap

ROOM: Final = 8  # frames that wait; at 25 a second a third of a second


class Waiting:
    """What a stream gave and nobody has taken yet; read in a thread of its own.

    Of a live stream the oldest frames are dropped, and counted, where they come faster than they are taken; a
    file waits instead, and so do pictures of a hot folder. Gaps are never dropped.
    """

    def __init__(self, stream: FrameStream, *, room: int = ROOM, drop: bool | None = None) -> None:
        self._stream, self._room = stream, room
        self._drop = stream.live if drop is None else drop
        self._items: deque[Frame | Gap] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self.dropped = 0
        self._thread = threading.Thread(target=self._read, name=f"reading {stream.name}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Frame | Gap]:
        """What comes, until the stream ends; errors of reading are raised here, after what came before."""
        while True:
            with self._changed:
                while not self._items and not self._ended:
                    self._changed.wait(0.5)  # so that Ctrl-C is heard
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            if isinstance(item, Frame) and not self._drop:  # a file's frames are as new as they are taken
                item = replace(item, arrived=time.monotonic())
            yield item

    def close(self) -> None:
        """Stop reading, and let go of the stream."""
        with self._changed:
            self._ended = True
            self._items.clear()
            self._changed.notify_all()
        self._stream.close()
        self._thread.join(timeout=10)

    def _read(self) -> None:
        try:
            for item in self._stream.frames():
                if not self._put(item):
                    return
        except BaseException as error:  # told to whoever iterates
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Frame | Gap) -> bool:
        with self._changed:
            while not self._drop and len(self._items) >= self._room and not self._ended:
                self._changed.wait(0.5)
            if self._ended:
                return False
            if self._drop and sum(isinstance(one, Frame) for one in self._items) >= self._room:
                oldest = next(i for i, one in enumerate(self._items) if isinstance(one, Frame))
                del self._items[oldest]
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

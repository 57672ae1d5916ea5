"""Cameras and network streams: read as they come, lost and found again, noticed where they freeze."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, Final

import numpy as np

from anomalens.packages import opencv
from anomalens.streams.frame import Frame, Gap, Moment, StreamError
from anomalens.streams.video_file import opened, rgb

TIMEOUT: Final = 5.0  # seconds without a frame, after which a stream counts as lost
FROZEN: Final = 5.0  # seconds of one and the same picture
WAITS: Final = (0.5, 1, 2, 4, 8, 15)  # seconds before each attempt to come back; the last one is repeated


class LiveStream(ABC):
    """Frames as they arrive. The first connection has to succeed; later ones are tried for ever."""

    live = True
    fps: float | None = None

    def __init__(
        self,
        name: str,
        *,
        timeout: float = TIMEOUT,
        frozen: float = FROZEN,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self.name, self._timeout, self._frozen, self._waits = name, timeout, frozen, waits
        self._closed = Event()

    @abstractmethod
    def connect(self) -> None:
        """Open the stream; StreamError where it does not open."""

    @abstractmethod
    def read(self) -> np.ndarray | None:
        """The next picture, uint8 [h, w, 3]; None where the stream is lost."""

    @abstractmethod
    def disconnect(self) -> None:
        """Let go of it; harmless where nothing is open."""

    def frames(self) -> Iterator[Frame | Gap]:
        began, number, tries = time.monotonic(), 0, 0
        last: np.ndarray | None = None
        changed, frozen = began, False
        self.connect()
        try:
            while not self._closed.is_set():
                picture = self.read()
                moment = Moment(number, time.monotonic() - began)
                if picture is None:
                    if self._closed.is_set():
                        return
                    if not tries:
                        yield Gap("lost", moment, f"{self.name} is lost")
                    self._closed.wait(self._waits[min(tries, len(self._waits) - 1)])
                    tries += 1
                    self._reconnect()
                    continue
                if tries:
                    yield Gap("back", moment, f"{self.name} is back after {tries} attempts")
                    tries, changed = 0, time.monotonic()
                if last is not None and picture.shape != last.shape:
                    size = f"{picture.shape[1]} x {picture.shape[0]}"
                    yield Gap("resized", moment, f"{self.name} now has {size} px")
                if last is None or not np.array_equal(picture, last):
                    changed = time.monotonic()
                    if frozen:
                        yield Gap("moving", moment, f"{self.name} moves again")
                    frozen = False
                elif not frozen and time.monotonic() - changed > self._frozen:
                    frozen = True
                    yield Gap("frozen", moment, f"{self.name} has shown one picture for {self._frozen:g} s")
                last = picture
                yield Frame(picture, moment, f"{self.name}#{number}")
                number += 1
        finally:
            self.disconnect()

    def _reconnect(self) -> None:
        self.disconnect()
        try:
            if not self._closed.is_set():
                self.connect()
        except StreamError:
            pass  # the next attempt comes

    def done(self, frame: Frame) -> None:
        """Nothing: what a camera has shown is not shown again."""
        return

    def close(self) -> None:
        self._closed.set()


class Camera(LiveStream):
    """A camera by its number, or an RTSP address, through OpenCV."""

    def __init__(self, source: int | str, name: str, **times: Any) -> None:
        super().__init__(name, **times)
        self._source = source
        self._capture: Any = None

    def connect(self) -> None:
        wait = self._timeout if isinstance(self._source, str) else None
        self._capture = opened(self._source, seconds=wait)
        if self._capture is None:
            raise StreamError(f"{self.name} does not open; check that it is there and not in use.")
        fps = float(self._capture.get(opencv().CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else None

    def read(self) -> np.ndarray | None:
        if self._capture is None:
            return None
        good, picture = self._capture.read()
        return rgb(picture) if good and picture is not None else None

    def disconnect(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

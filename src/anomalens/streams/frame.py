"""A frame and when it was shown; and what a stream says between frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from anomalens.errors import InputError
from anomalens.images.arrays import Pixels


class StreamError(InputError):
    """A stream cannot be opened, or gives no frame."""


@dataclass(frozen=True)
class Moment:
    """When a frame was shown.

    Attributes
    ----------
    frame : int
        How many frames of the stream came before it, whether or not they were scored.
    seconds : float
        Since the stream began: the time that a file gives for it, or that passed before it arrived.
    """

    frame: int
    seconds: float

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(int(minutes), 60)
        return f"{hours:d}:{minutes:02d}:{seconds:06.3f}"


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a stream: uint8 or float32 [h, w, 3], RGB, 0-255; `name` says where it is from, and
    `arrived` when it was read, on `time.monotonic`'s clock."""

    pixels: Pixels
    moment: Moment
    name: str
    arrived: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Gap:
    """Something other than a frame.

    `kind` is "undecoded", "lost", "back", "frozen", "moving", "resized" or "unreadable".
    """

    kind: str
    moment: Moment
    text: str


class FrameStream(Protocol):
    """Frames one after the other. `live` ones go on whether or not anybody looks.

    `frames` ends where a file ends; a live stream that is lost says so with a `Gap` and comes back by itself.
    """

    name: str
    live: bool
    fps: float | None

    def frames(self) -> Iterator[Frame | Gap]:
        """Frames and gaps, in the order of time."""

    def done(self, frame: Frame) -> None:
        """What was found in a frame has been written."""

    def close(self) -> None:
        """Let go of files and connections; `frames` ends."""

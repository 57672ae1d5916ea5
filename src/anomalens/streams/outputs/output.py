"""What every output takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from anomalens.streams.frame import Gap
from anomalens.streams.watching import Watched


class Output(Protocol):
    """Is told of each scored frame, of gaps, and of the end."""

    def add(self, found: Sequence[Watched]) -> None:
        """What was found in the areas of one frame."""

    def gap(self, gap: Gap) -> None:
        """Frames are missing, or something is odd about the stream."""

    def close(self) -> None:
        """The stream has ended, or was stopped."""

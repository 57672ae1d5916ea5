"""HTTP cameras that send one JPEG after the other (multipart/x-mixed-replace), read without OpenCV."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from anomalens.errors import ImageError
from anomalens.images.decode import decode_bytes
from anomalens.streams.frame import StreamError
from anomalens.streams.live import LiveStream

_MOST_BYTES: Final = 32 * 2**20  # of one picture
_PIECE: Final = 65536
_LENGTH: Final = re.compile(rb"content-length:\s*(\d{1,9})\r?\n", re.IGNORECASE)
_START, _END = b"\xff\xd8", b"\xff\xd9"


class MjpegStream(LiveStream):
    """Pictures of an HTTP address; what cannot be decoded is passed over and counted."""

    def __init__(self, address: str, **times: Any) -> None:
        parts = urlsplit(address)
        super().__init__(f"{parts.scheme}://{parts.hostname}{parts.path}", **times)  # without a password
        self._address = address
        self._answer: Any = None
        self._held = b""
        self.undecoded = 0

    def connect(self) -> None:
        try:
            self._answer = urllib.request.urlopen(self._address, timeout=self._timeout)
        except (OSError, ValueError, urllib.error.URLError) as error:
            reason = getattr(error, "reason", None) or error
            raise StreamError(
                f"{self.name} does not open ({reason}); check the address and the network."
            ) from None
        self._held = b""

    def read(self) -> np.ndarray | None:
        while self._answer is not None:
            data = self._next_jpeg()
            if data is None:
                return None
            try:
                return decode_bytes(data, name=self.name).pixels
            except ImageError:
                self.undecoded += 1
        return None

    def _next_jpeg(self) -> bytes | None:
        """The bytes of the next picture; None where the stream ends or stalls."""
        while True:
            start = self._held.find(_START)
            end = self._end_of(start) if start >= 0 else -1
            if 0 <= end <= len(self._held):
                data, self._held = self._held[start:end], self._held[end:]
                return data
            if len(self._held) > _MOST_BYTES:
                return None
            try:
                piece = self._answer.read1(_PIECE)
            except (OSError, ValueError, AttributeError):
                return None
            if not piece:
                return None
            self._held += piece

    def _end_of(self, start: int) -> int:
        """Where the picture that begins here ends; -1 where that is not known yet.

        Its part's headers may tell its length; a mark of its end could be that of a thumbnail inside.
        """
        told = _LENGTH.findall(self._held[:start])
        if told:
            return start + int(told[-1])
        end = self._held.find(_END, start + 2)
        return end + 2 if end >= 0 else -1

    def disconnect(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

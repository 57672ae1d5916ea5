"""Events to a web address, once each, with retries, from a spool on disk that survives a restart."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from anomalens.streams.frame import Gap, StreamError
from anomalens.streams.watching import Watched

_WAITS: Final = (1, 2, 4, 8, 16, 30)  # seconds before each attempt; the last is repeated
_TIMEOUT: Final = 10.0
_MOST_WAITING: Final = 100_000  # files in the spool


class Webhook:
    """Posts each event as JSON; what the address has not taken (2xx) stays in the spool and is sent again.

    Each has a header `Idempotency-Key`, so that a receiver can tell a repetition.
    """

    def __init__(self, address: str, spool: Path, *, waits: Sequence[float] = _WAITS) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise StreamError(f"The webhook {address!r:.80} is no web address; give http:// or https://.")
        spool.mkdir(parents=True, exist_ok=True)
        self._address, self._spool, self._waits = address, spool, waits
        self._run = os.urandom(6).hex()
        self._number = 0
        self._news = threading.Event()
        self._stopped = threading.Event()
        self.failures = 0
        self._thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._thread.start()

    def add(self, found: Sequence[Watched]) -> None:
        for one in found:
            for event in one.events:
                self._keep(json.dumps(event.to_json(), ensure_ascii=False))

    def gap(self, gap: Gap) -> None:
        return

    def close(self) -> None:
        """Send what is there, or leave it in the spool for the next start."""
        self._stopped.set()
        self._news.set()
        self._thread.join(timeout=_TIMEOUT + 2)

    def waiting(self) -> list[Path]:
        """Files that have not been taken, oldest first."""
        return sorted(self._spool.glob("*.json"))

    def _keep(self, text: str) -> None:
        if self._number % 100 == 0 and len(self.waiting()) >= _MOST_WAITING:
            raise StreamError(
                f"{self._spool} holds {_MOST_WAITING} events that {self._address} did not take."
            )
        self._number += 1
        at = self._spool / f"{self._stamp()}.json"
        half = at.with_suffix(".half")
        with half.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        half.replace(at)
        self._news.set()

    def _stamp(self) -> str:
        import time

        return f"{time.time_ns():020d}-{self._run}-{self._number:06d}"

    def _send_all(self) -> None:
        tries = 0
        while True:
            self._news.clear()
            files = self.waiting()
            while files and self._sent(files[0]):
                files.pop(0).unlink(missing_ok=True)
                tries = 0
            if self._stopped.is_set():
                return
            if not files:
                self._news.wait(1.0)
                continue
            self.failures += 1
            self._stopped.wait(self._waits[min(tries, len(self._waits) - 1)])
            tries += 1

    def _sent(self, path: Path) -> bool:
        try:
            data = path.read_bytes()
        except OSError:
            return True  # somebody took it away
        request = urllib.request.Request(
            self._address,
            data=data,
            headers={"Content-Type": "application/json", "Idempotency-Key": path.stem},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                return bool(200 <= answer.status < 300)
        except (OSError, ValueError, urllib.error.URLError):
            return False

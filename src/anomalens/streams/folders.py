"""A folder of frames, and a hot folder into which pictures arrive."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Final

from anomalens.errors import ImageError
from anomalens.images.decode import SUFFIXES, decode
from anomalens.images.files import natural_key
from anomalens.images.image_set import ImageSet
from anomalens.streams.frame import Frame, Gap, Moment, StreamError

FPS: Final = 25.0  # of frames in a folder, which say nothing of time
JOURNAL: Final = ".anomalens-watched.jsonl"
_POLL: Final = 0.2  # seconds between looks into a hot folder
_MOST_REMEMBERED: Final = 1_000_000


class FrameFolder:
    """The pictures of a folder in the natural order of their names, as frames of a film."""

    live = False
    fps: float | None

    def __init__(self, folder: Path, fps: float = FPS) -> None:
        self.name, self.fps, self._rate = folder.name, fps, fps
        self._images = ImageSet.from_folder(folder)
        self._open = True

    def frames(self) -> Iterator[Frame | Gap]:
        for number, entry in enumerate(self._images):
            if not self._open:
                return
            moment = Moment(number, number / self._rate)
            try:
                yield Frame(entry.read().pixels, moment, entry.id)
            except ImageError as error:
                yield Gap("unreadable", moment, str(error))

    def done(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        self._open = False


class HotFolder:
    """Pictures that arrive in a folder, each once, also after a restart.

    A picture counts as arrived when its size and time have not changed between two looks and it can be
    decoded; one that cannot is tried again until `patience` seconds have passed. What has been answered is
    noted in a journal inside the folder, by name, size and time, after the answer was written.
    """

    live = True  # it goes on, but nothing in it is ever dropped
    fps: float | None = None

    def __init__(self, folder: Path, *, patience: float = 10.0, poll: float = _POLL) -> None:
        if not folder.is_dir():
            raise StreamError(f"There is no folder {folder}; make it, or check the path.")
        self.name, self._folder, self._patience, self._poll = folder.name, folder, patience, poll
        self._closed = Event()
        self._journal = folder / JOURNAL
        self._answered = self._read_journal()
        self._keys: dict[str, tuple[str, int, int]] = {}

    def frames(self) -> Iterator[Frame | Gap]:
        began = time.monotonic()
        seen: dict[Path, tuple[tuple[str, int, int], float]] = {}
        given: set[tuple[str, int, int]] = set()
        number = 0
        while not self._closed.is_set():
            for path in self._pictures():
                key = _key(path)
                if key is None or key in self._answered or key in given:
                    continue
                before, since = seen.get(path, (None, time.monotonic()))
                seen[path] = (key, since if before == key else time.monotonic())
                if before != key:
                    continue
                moment = Moment(number, time.monotonic() - began)
                try:
                    pixels = decode(path).pixels
                except ImageError as error:
                    if time.monotonic() - since < self._patience:
                        continue  # it may still be written
                    given.add(key)
                    self._note(key)
                    yield Gap("unreadable", moment, str(error))
                    continue
                given.add(key)
                seen.pop(path, None)
                name = path.relative_to(self._folder).as_posix()
                self._keys[name] = key
                yield Frame(pixels, moment, name)
                number += 1
            self._closed.wait(self._poll)

    def done(self, frame: Frame) -> None:
        key = self._keys.pop(frame.name, None)
        if key is not None:
            self._note(key)

    def close(self) -> None:
        self._closed.set()

    def _pictures(self) -> list[Path]:
        found = [
            Path(place) / name
            for place, _, names in os.walk(self._folder)
            for name in names
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
        return sorted(found, key=natural_key)

    def _note(self, key: tuple[str, int, int]) -> None:
        self._answered.add(key)
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(key) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def _read_journal(self) -> set[tuple[str, int, int]]:
        if not self._journal.is_file():
            return set()
        keys: set[tuple[str, int, int]] = set()
        with self._journal.open(encoding="utf-8", errors="replace") as journal:
            for line in journal:
                try:
                    name, size, at = json.loads(line)
                except (ValueError, TypeError):
                    continue  # a line that a power cut left half
                keys.add((str(name), int(size), int(at)))
                if len(keys) > _MOST_REMEMBERED:
                    raise StreamError(
                        f"{self._journal} has more than {_MOST_REMEMBERED} lines; begin a new folder."
                    )
        return keys


def _key(path: Path) -> tuple[str, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return path.name, about.st_size, about.st_mtime_ns

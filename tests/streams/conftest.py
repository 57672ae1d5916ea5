"""Clips of walking squares, as files, folders and from an MJPEG server on loopback."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH, FPS = 96, 160, 20
GROUND = np.clip(np.random.default_rng(0).normal(120, 12, (HEIGHT, WIDTH)), 0, 255)


def clip(frames: int, walkers: list[tuple[float, float, int]], begin: int = 0) -> list[np.ndarray]:
    """uint8 [96, 160, 3]: dark squares of 12 px that walk to and fro: (start, pixels a frame, row)."""
    coat = np.random.default_rng(1).integers(10, 90, (12, 12))
    shown = []
    for t in range(begin, begin + frames):
        picture = GROUND.copy()
        for start, speed, row in walkers:
            way = WIDTH - 12
            x = round(way - abs((start + speed * t) % (2 * way) - way))
            picture[row : row + 12, x : x + 12] = coat
        shown.append(np.repeat(picture.astype(np.uint8)[..., None], 3, axis=2))
    return shown


NORMAL = [(10, 1, 10), (60, 2, 40), (20, 3, 76)]
FAST = [(0, 6, 12)]


@pytest.fixture(scope="session")
def normal_frames() -> list[np.ndarray]:
    """400 frames, 20 seconds."""
    return clip(400, NORMAL)


@pytest.fixture(scope="session")
def odd_frames() -> list[np.ndarray]:
    """Calm for 3 seconds, something fast for 3, and calm for 4."""
    return [*clip(60, NORMAL), *clip(60, [*NORMAL, *FAST], 60), *clip(80, NORMAL, 120)]


@pytest.fixture(scope="session")
def video() -> Callable[[Path, list[np.ndarray]], Path]:
    """A function that writes frames as a video."""

    def write(path: Path, frames: list[np.ndarray]) -> Path:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
        assert writer.isOpened()
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path

    return write


@pytest.fixture(scope="session")
def folder() -> Callable[[Path, list[np.ndarray]], Path]:
    """A function that writes frames as pictures."""

    def write(path: Path, frames: list[np.ndarray]) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(path / f"{number:04d}.png")
        return path

    return write


class MjpegServer:
    """Shows frames one after the other, again and again; can be cut, frozen and broken."""

    def __init__(self, frames: list[np.ndarray], rate: float = 60) -> None:
        self._frames, self._pause = [jpeg(frame) for frame in frames], 1 / rate
        self.cut, self.frozen, self.broken = threading.Event(), threading.Event(), threading.Event()
        self.refused = threading.Event()
        self.shown = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if outer.refused.is_set():
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not outer.cut.is_set() and not outer.refused.is_set():
                        data = outer.next_picture()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                        self.wfile.write(head.encode() + data + b"\r\n")
                        time.sleep(outer._pause)
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/live"

    def next_picture(self) -> bytes:
        if not self.frozen.is_set():
            self.shown += 1
        data = self._frames[self.shown % len(self._frames)]
        return b"\xff\xd8 nothing of a picture \xff\xd9" if self.broken.is_set() else data

    def close(self) -> None:
        self.cut.set()
        self._server.shutdown()
        self._server.server_close()


def jpeg(frame: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(frame).save(held, "JPEG", quality=95)
    return held.getvalue()


@pytest.fixture
def mjpeg() -> Iterator[Callable[..., MjpegServer]]:
    """A function that starts a server of frames."""
    servers: list[MjpegServer] = []

    def start(frames: list[np.ndarray], **options: Any) -> MjpegServer:
        servers.append(MjpegServer(frames, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()

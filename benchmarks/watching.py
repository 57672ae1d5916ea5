"""How fast a video is watched beside `check` of the same frames: `python benchmarks/watching.py`.

Frames of 256 px, `patchcore` on 100 normal ones, one thread. Prints frames a second of `check` on files,
of `watch` on a video, of a plain loop over OpenCV and the same inspector, and latencies at 25 frames a
second; with `--memory N` instead the resident memory while N frames of a looped video are watched.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from real_sets import DATA

from anomalens import Inspector
from anomalens.errors import AnomalensWarning
from anomalens.streams.frame import Frame, Moment
from anomalens.streams.session import WatchSession
from anomalens.streams.video_file import VideoFile
from anomalens.streams.watch_options import WatchOptions

FRAMES, SIDE, RATE = 300, 256, 25
REPEATS = 3


class Paced:
    """A video as a camera would show it: a frame each 1/25 of a second, whether or not anybody is ready."""

    live = True
    fps: float | None = RATE

    def __init__(self, path: Path, loops: int = 1, pace: float = 1 / RATE) -> None:
        self.name, self._path, self._loops, self._pace = path.name, path, loops, pace

    def frames(self) -> Iterator[Frame]:
        number, due = 0, time.monotonic()
        for _ in range(self._loops):
            for item in VideoFile(self._path).frames():
                if isinstance(item, Frame):
                    due += self._pace
                    time.sleep(max(0.0, due - time.monotonic()))
                    yield Frame(item.pixels, Moment(number, number / RATE), f"f{number}")
                    number += 1

    def done(self, frame: Frame) -> None:
        return

    def close(self) -> None:
        return


def prepared(place: Path) -> tuple[Path, Path, Inspector]:
    """A folder of frames, a video of them, and a model."""
    pictures = sorted((DATA / "mvtec_transistor" / "test" / "good").iterdir())
    shown = [np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE))) for path in pictures]
    folder = place / "frames"
    folder.mkdir()
    writer = cv2.VideoWriter(str(place / "v.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (SIDE, SIDE))
    for number in range(FRAMES):
        frame = shown[number % len(shown)]
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
        Image.fromarray(frame).save(folder / f"{number:04d}.png")
    writer.release()
    train = sorted((DATA / "mvtec_transistor" / "train" / "good").iterdir())[:100]
    return folder, place / "v.mp4", Inspector.fit(train, detector="patchcore", size=SIDE, threads=1)


def main() -> None:
    warnings.simplefilter("ignore", AnomalensWarning)
    with tempfile.TemporaryDirectory() as place:
        folder, video, inspector = prepared(Path(place))
        if "--memory" in sys.argv:
            memory(video, inspector, int(sys.argv[sys.argv.index("--memory") + 1]))
            return
        rates: dict[str, list[float]] = {"check": [], "watch": [], "plain loop": []}
        for _ in range(REPEATS):
            begun = time.perf_counter()
            n = sum(1 for _ in inspector.check(folder))
            rates["check"].append(n / (time.perf_counter() - begun))
            with WatchSession(str(video), inspector) as session:
                begun = time.perf_counter()
                n = sum(1 for _ in session)
                rates["watch"].append(n / (time.perf_counter() - begun))
            begun, n, capture = time.perf_counter(), 0, cv2.VideoCapture(str(video))
            while (read := capture.read())[0]:
                inspector.answer(np.ascontiguousarray(read[1][..., ::-1]))
                n += 1
            rates["plain loop"].append(n / (time.perf_counter() - begun))
        best = max(rates["check"])
        for name, values in rates.items():
            print(f"{name}: {max(values):.1f} frames a second, {max(values) / best:.2f} of check")
        with WatchSession(Paced(video), inspector) as session:
            for _ in session:
                pass
        figures, dropped = session.figures, session.waiting.dropped
        print(
            f"at {RATE} a second: latency {figures.latency(0.5):.0f} ms, 99 %: "
            f"{figures.latency(0.99):.0f} ms, {dropped} of {FRAMES} dropped"
        )


def memory(video: Path, inspector: Inspector, frames: int) -> None:
    """Resident memory in MB, every tenth of so many frames."""
    stream = Paced(video, loops=-(-frames // FRAMES), pace=0.0)
    stream.live = False  # nothing is dropped
    with WatchSession(stream, inspector, WatchOptions()) as session:
        for number, _ in enumerate(session):
            if number % max(1, frames // 10) == 0:
                now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
                print(f"{number} frames: {now:.0f} MB", flush=True)
            if number >= frames:
                break


if __name__ == "__main__":
    main()

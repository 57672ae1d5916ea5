"""Every way to read frames gives the same frames, in order, with times that grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens.streams.folders import FrameFolder, HotFolder
from anomalens.streams.frame import Frame, FrameStream, Gap, StreamError
from anomalens.streams.mjpeg import MjpegStream
from anomalens.streams.opening import open_stream
from anomalens.streams.video_file import VideoFile

COUNT = 12


@pytest.fixture(params=["video", "folder", "hot folder", "http"])
def stream(
    request: Any, tmp_path: Path, normal_frames: Any, video: Any, folder: Any, mjpeg: Any
) -> Iterator[FrameStream]:
    frames = normal_frames[:COUNT]
    opened: FrameStream
    if request.param == "video":
        opened = open_stream(str(video(tmp_path / "clip.mp4", frames)))
    elif request.param == "folder":
        opened = open_stream(str(folder(tmp_path / "frames", frames)), fps=20)
    elif request.param == "hot folder":
        opened = open_stream(str(folder(tmp_path / "inbox", frames)), hot=True)
    else:
        opened = open_stream(mjpeg(frames).address)
    yield opened
    opened.close()


def test_frames_come_in_order_with_times_that_grow(stream: FrameStream, normal_frames: Any) -> None:
    frames = [item for item in islice(stream.frames(), COUNT) if isinstance(item, Frame)]
    assert len(frames) == COUNT
    assert [frame.moment.frame for frame in frames] == list(range(COUNT))
    seconds = [frame.moment.seconds for frame in frames]
    assert all(a < b for a, b in pairwise(seconds))
    wanted = {i: picture.astype(float) for i, picture in enumerate(normal_frames[:COUNT])}
    places = []
    for frame in frames:
        assert frame.pixels.shape == (96, 160, 3) and frame.pixels.dtype == np.uint8
        away = {i: np.abs(picture - frame.pixels).mean() for i, picture in wanted.items()}
        places.append(min(away, key=away.__getitem__))
        assert min(away.values()) < 8  # what compression changes
    steps = {(b - a) % COUNT for a, b in pairwise(places)}
    assert steps == {1}


def test_a_video_tells_its_own_times(tmp_path: Path, normal_frames: Any, video: Any) -> None:
    stream = VideoFile(video(tmp_path / "clip.mp4", normal_frames[:40]))
    seconds = [frame.moment.seconds for frame in stream.frames() if isinstance(frame, Frame)]
    assert stream.fps == pytest.approx(20, abs=0.1)
    np.testing.assert_allclose(seconds, np.arange(40) / 20, atol=0.002)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.mp4", "There is no video nowhere.mp4"),
        ("text.mp4", "no video that OpenCV can read"),
        ("ftp://camera/1", "ftp:// are not read"),
        ("987654", "There is no camera 987654"),
        ("http://127.0.0.1:9/live", "does not open"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video at all\n" * 50)
    with pytest.raises(StreamError, match=said):
        next(iter(open_stream(source).frames()))


def test_a_cut_video_gives_the_frames_before_the_cut(tmp_path: Path, normal_frames: Any, video: Any) -> None:
    path = video(tmp_path / "clip.avi", normal_frames)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = [item for item in VideoFile(path).frames() if isinstance(item, Frame)]
    assert 20 < len(frames) < len(normal_frames)


def test_a_frame_that_is_no_picture_is_a_gap(tmp_path: Path, normal_frames: Any, folder: Any) -> None:
    path = folder(tmp_path / "frames", normal_frames[:3])
    (path / "0001.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    kinds = [item.kind if isinstance(item, Gap) else "frame" for item in FrameFolder(path).frames()]
    assert kinds == ["frame", "unreadable", "frame"]


def taken(stream: HotFolder, count: int) -> list[str]:
    names = []
    for item in stream.frames():
        if isinstance(item, Frame):
            names.append(item.name)
            stream.done(item)
        if len(names) == count:
            stream.close()
    return names


def test_a_hot_folder_answers_each_picture_once_also_after_a_restart(
    tmp_path: Path, normal_frames: Any, folder: Any
) -> None:
    path = folder(tmp_path / "inbox", normal_frames[:3])
    assert taken(HotFolder(path, poll=0.02), 3) == ["0000.png", "0001.png", "0002.png"]
    Image.fromarray(normal_frames[5]).save(path / "late.png")
    assert taken(HotFolder(path, poll=0.02), 1) == ["late.png"]
    Image.fromarray(normal_frames[6]).save(path / "late.png")  # another picture of the same name
    assert taken(HotFolder(path, poll=0.02), 1) == ["late.png"]


def test_a_picture_that_was_not_answered_comes_again(tmp_path: Path, normal_frames: Any, folder: Any) -> None:
    path = folder(tmp_path / "inbox", normal_frames[:1])
    stream = HotFolder(path, poll=0.02)
    next(stream.frames())  # and the process ends before an answer is written
    assert taken(HotFolder(path, poll=0.02), 1) == ["0000.png"]


def test_a_half_written_picture_is_waited_for(tmp_path: Path, normal_frames: Any, folder: Any) -> None:
    path = folder(tmp_path / "inbox", [])
    Image.fromarray(normal_frames[0]).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()

    def write_slowly() -> None:
        with (path / "slow.png").open("wb") as file:
            for start in range(0, len(data), len(data) // 5):
                file.write(data[start : start + len(data) // 5])
                file.flush()
                time.sleep(0.08)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    stream = HotFolder(path, poll=0.02)
    item = next(stream.frames())
    writer.join()
    assert isinstance(item, Frame) and np.array_equal(item.pixels, normal_frames[0])


def test_a_picture_that_stays_damaged_is_told_once(tmp_path: Path, folder: Any) -> None:
    path = folder(tmp_path / "inbox", [])
    (path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    stream = HotFolder(path, poll=0.02, patience=0.1)
    gap = next(stream.frames())
    assert isinstance(gap, Gap) and gap.kind == "unreadable"
    stream.close()
    assert "bad.png" in (path / ".anomalens-watched.jsonl").read_text()


def kinds_until(stream: MjpegStream, wanted: str, act: Callable[[], None] | None = None) -> list[str]:
    """Kinds of what comes until a gap of this kind, after `act` at the fifth frame."""
    kinds: list[str] = []
    for item in stream.frames():
        kinds.append(item.kind if isinstance(item, Gap) else "frame")
        if kinds.count("frame") == 5 and act is not None:
            act()
        if kinds[-1] == wanted:
            stream.close()
            return kinds
    return kinds


def test_a_lost_stream_comes_back(normal_frames: Any, mjpeg: Any) -> None:
    server = mjpeg(normal_frames[:50])
    stream = MjpegStream(server.address, timeout=0.5, waits=(0.02,))

    def cut() -> None:
        server.refused.set()
        threading.Timer(0.3, server.refused.clear).start()

    kinds = kinds_until(stream, "back", cut)
    assert kinds[-2:] == ["lost", "back"]


def test_a_frozen_picture_is_noticed_and_its_end_too(normal_frames: Any, mjpeg: Any) -> None:
    server = mjpeg(normal_frames[:50], rate=200)
    stream = MjpegStream(server.address, frozen=0.2)

    def freeze() -> None:
        server.frozen.set()
        threading.Timer(0.6, server.frozen.clear).start()

    kinds = kinds_until(stream, "moving", freeze)
    assert kinds.count("frozen") == 1


def test_twenty_cuts_lose_no_connection_for_good(normal_frames: Any, mjpeg: Any) -> None:
    server = mjpeg(normal_frames[:50], rate=300)
    stream = MjpegStream(server.address, timeout=0.5, waits=(0.01,))
    back, since = 0, 0
    for item in stream.frames():
        if isinstance(item, Gap):
            back += item.kind == "back"
            since = 0
            if back == 20:
                stream.close()
            if item.kind == "lost":
                server.cut.clear()
        else:
            since += 1
            if since == 3:
                server.cut.set()
    assert back == 20


def test_broken_jpegs_are_passed_over_and_counted(normal_frames: Any, mjpeg: Any) -> None:
    server = mjpeg(normal_frames[:50], rate=200)
    stream = MjpegStream(server.address)
    frames = 0
    for item in stream.frames():
        frames += isinstance(item, Frame)
        if frames == 3 and not server.broken.is_set() and not stream.undecoded:
            server.broken.set()
            threading.Timer(0.2, server.broken.clear).start()
        if frames == 10:
            stream.close()
    assert stream.undecoded > 0

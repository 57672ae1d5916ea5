"""Where events go: files, pictures, a video, a web address that fails at first, a page."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from anomalens.calibration import Region
from anomalens.inspector.finding import Finding
from anomalens.streams.events import Event
from anomalens.streams.frame import Frame, Gap, Moment, StreamError
from anomalens.streams.outputs.lines import EventLines, ScoreList
from anomalens.streams.outputs.page import LivePage
from anomalens.streams.outputs.pictures import AnnotatedVideo, Snapshots
from anomalens.streams.outputs.webhook import Webhook
from anomalens.streams.watching import Figures, Watched

PICTURE = np.full((48, 64, 3), 90, np.uint8)


def watched(number: int, score: float | None = 1.0, *, event: int = 0, over: bool = False) -> list[Watched]:
    frame = Frame(PICTURE, Moment(number, number / 10), f"f{number}")
    regions = (Region((5, 5, 20, 20), 100.0, 2.0),) if event else ()
    finding = Finding(
        image=frame.name, score=score, anomalous=bool(event), regions=regions, explanation="Because.",
        original_size=(64, 48),
    )  # fmt: skip
    moment = frame.moment
    events = (Event(event, None, moment, moment, moment, 2.0, 1, over, finding, frame),) if event else ()
    return [Watched(frame, None, finding, score, events, bool(event) and not over)]


def test_events_and_gaps_are_lines_that_are_there_at_once(tmp_path: Path) -> None:
    lines = EventLines.to_file(tmp_path / "e.jsonl")
    lines.add(watched(3, event=1))
    lines.gap(Gap("lost", Moment(4, 0.4), "camera 0 is lost"))
    first, second = map(json.loads, (tmp_path / "e.jsonl").read_text().splitlines())
    lines.close()
    assert (
        first["event"] == 1
        and first["evidence"] == "Because."
        and first["regions"][0]["box"] == [5, 5, 20, 20]
    )
    assert second == {"gap": "lost", "seconds": 0.4, "frame": 4, "text": "camera 0 is lost"}


def test_scores_are_one_a_frame_and_null_where_there_is_none(tmp_path: Path) -> None:
    scores = ScoreList(tmp_path / "s.json")
    for found in (watched(0, 0.5), watched(2, None), watched(3, 0.25), watched(3, 0.25, event=1, over=True)):
        scores.add(found)
    scores.close()
    assert json.loads((tmp_path / "s.json").read_text()) == [0.5, None, None, 0.25]


def test_a_stream_without_frames_is_an_empty_list(tmp_path: Path) -> None:
    ScoreList(tmp_path / "s.json").close()
    assert json.loads((tmp_path / "s.json").read_text()) == []


def test_snapshots_are_pictures_of_the_peaks(tmp_path: Path) -> None:
    shots = Snapshots(tmp_path / "shots", None)
    shots.add(watched(1, event=7))
    shots.add(watched(2, event=7, over=True))
    (path,) = (tmp_path / "shots").iterdir()
    assert path.name == "event-0007.jpg" and path.stat().st_size > 1000


def test_the_video_holds_every_scored_frame(tmp_path: Path) -> None:
    video = AnnotatedVideo(tmp_path / "v.mp4", 10)
    for number in range(20):
        video.add(watched(number, event=int(number > 10)))
    video.add(watched(19, event=1, over=True))
    video.close()
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert len(frames) == 20 and frames[0].shape == (48, 64, 3)
    red = [int(frame[24, 0, 2]) - int(frame[24, 0, 0]) for frame in frames]
    assert red[5] < 40 < red[15]


class Receiver:
    """Takes posts once it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.willing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.willing.is_set():
                    outer.taken.append((self.headers["Idempotency-Key"], json.loads(body)))
                self.send_response(204 if outer.willing.is_set() else 500)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/event"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def until(true: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_what_the_address_does_not_take_is_sent_again_in_order(tmp_path: Path, receiver: Receiver) -> None:
    hook = Webhook(receiver.address, tmp_path / "spool", waits=(0.05,))
    for number in (1, 2, 3):
        hook.add(watched(number, event=number))
    assert until(lambda: hook.failures > 1) and len(hook.waiting()) == 3
    receiver.willing.set()
    assert until(lambda: len(receiver.taken) == 3 and not hook.waiting())
    hook.close()
    assert [body["event"] for _, body in receiver.taken] == [1, 2, 3]
    assert len({key for key, _ in receiver.taken}) == 3


def test_the_spool_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    first = Webhook(receiver.address, tmp_path / "spool", waits=(0.05,))
    first.add(watched(1, event=1))
    first.close()
    assert len(first.waiting()) == 1
    receiver.willing.set()
    second = Webhook(receiver.address, tmp_path / "spool", waits=(0.05,))
    assert until(lambda: not second.waiting())
    second.close()
    assert [body["event"] for _, body in receiver.taken] == [1]


def test_another_kind_of_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="no web address"):
        Webhook("file:///etc/hosts", tmp_path / "spool")


def test_the_page_shows_picture_trace_events_and_gaps(tmp_path: Path) -> None:
    page = LivePage(tmp_path / "page", "camera <1>", Figures(), 1.0, None)
    for number in range(5):
        page.add(watched(number, number / 4, event=int(number == 4)))
    page.gap(Gap("lost", Moment(5, 0.5), "camera is lost"))
    html = (tmp_path / "page" / "index.html").read_text()
    assert 'http-equiv="refresh"' in html and "camera &lt;1&gt;" in html and "camera is lost" in html
    assert "an event is under way" in html and "event-0001.jpg" in html and "<svg" in html
    assert (tmp_path / "page" / "now.jpg").exists() and (tmp_path / "page" / "event-0001.jpg").exists()
    page.close()
    assert 'http-equiv="refresh"' not in (tmp_path / "page" / "index.html").read_text()

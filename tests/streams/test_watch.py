"""From normal video to events: fit, watch, and what is left on disk."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector
from anomalens.cli.main import run
from anomalens.datasets import load_tasks
from anomalens.errors import SettingError
from anomalens.streams.rules import rules_for
from anomalens.streams.session import WatchSession
from anomalens.streams.watch_options import WatchOptions

pytestmark = pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")


@pytest.fixture(scope="module")
def work(
    tmp_path_factory: pytest.TempPathFactory, normal_frames: Any, odd_frames: Any, video: Any, folder: Any
) -> Path:
    """normal.mp4, odd.mp4, odd/ and a model of the normal video."""
    place = tmp_path_factory.mktemp("watch")
    video(place / "normal.mp4", normal_frames)
    video(place / "odd.mp4", odd_frames)
    folder(place / "odd", odd_frames)
    code = run(
        ["fit", str(place / "normal.mp4"), "--detector", "motion", "--out", str(place / "m.anomalens")]
    )
    assert code == 0
    return place


def events_of(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("state") == "over"]


@pytest.mark.parametrize("source", ["odd.mp4", "odd"])
def test_something_fast_is_one_event_at_its_time(work: Path, source: str, capsys: Any) -> None:
    code = run(["watch", str(work / source), "--model", str(work / "m.anomalens"), "--fps", "20"])
    told = capsys.readouterr()
    (event,) = events_of(told.out)
    assert code == 1
    assert "rests on 10 blocks of 2 s of normal video" in told.err
    assert event["start"] == pytest.approx(3, abs=0.5) and 6 <= event["end"] <= 8
    assert "times as fast" in event["evidence"]
    assert "200 frames" in told.err and "0 dropped" in told.err


def test_normal_video_is_no_event(work: Path, capsys: Any) -> None:
    model, clip = str(work / "m.anomalens"), str(work / "normal.mp4")
    assert run(["watch", clip, "--model", model, "--per-hour", "60"]) == 0
    assert "10 blocks of 2 s of normal video" in capsys.readouterr().err


def test_everything_that_is_asked_for_is_written(work: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path
    words = [
        "watch", work / "odd.mp4", "--model", work / "m.anomalens", "--events", out / "e.jsonl",
        "--scores", out / "s.json", "--snapshots", out / "shots", "--video", out / "v.mp4",
        "--page", out / "page",
    ]  # fmt: skip
    assert run([str(word) for word in words]) == 1
    assert capsys.readouterr().out == ""
    assert len(events_of((out / "e.jsonl").read_text())) == 1
    scores = json.loads((out / "s.json").read_text())
    assert len(scores) == 200 and np.median(scores[70:110]) > 1.5 * np.median(scores[5:55])
    assert (out / "shots" / "event-0001.jpg").stat().st_size > 1000
    assert (out / "v.mp4").stat().st_size > 1000 and (out / "page" / "index.html").exists()


def test_an_area_sees_its_part_alone(work: Path, tmp_path: Path, capsys: Any) -> None:
    """Two areas with models of their own: what is fast is in the upper one."""
    areas = tmp_path / "areas.json"
    parts = [
        {"name": "above", "polygon": [[0, 0], [1, 0], [1, 0.35], [0, 0.35]], "model": "above.anomalens"},
        {"name": "below", "polygon": [[0, 0.35], [1, 0.35], [1, 1], [0, 1]], "model": "below.anomalens"},
    ]
    areas.write_text(json.dumps(parts))
    for part in parts:
        words = ["fit", work / "normal.mp4", "--detector", "motion", "--area", f"{areas}:{part['name']}"]
        assert run([str(word) for word in [*words, "--out", tmp_path / part["model"]]]) == 0
    capsys.readouterr()
    assert run(["watch", str(work / "odd.mp4"), "--areas", str(areas)]) == 1
    (event,) = events_of(capsys.readouterr().out)
    assert event["area"] == "above" and event["regions"][0]["box"][3] <= 0.35 * 96 + 1


def test_a_hot_folder_is_answered_and_goes_on_after_a_restart(
    work: Path, tmp_path: Path, normal_frames: Any
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in range(3):
        Image.fromarray(normal_frames[number]).save(inbox / f"{number}.png")
    inspector = Inspector.fit(np.array(normal_frames[::8]), detector="gaussian", size=64)
    options = WatchOptions(hot=True, seconds=1.5)
    with WatchSession(str(inbox), inspector, options) as session:
        names = [step[0].finding.image for step in session]
    assert names == ["0.png", "1.png", "2.png"]
    Image.fromarray(normal_frames[50]).save(inbox / "3.png")
    with WatchSession(str(inbox), inspector, options) as session:
        assert [step[0].finding.image for step in session] == ["3.png"]


def test_a_live_stream_is_watched_until_it_is_stopped(work: Path, mjpeg: Any, odd_frames: Any) -> None:
    server = mjpeg(odd_frames, rate=20)
    inspector = Inspector.load(work / "m.anomalens")
    found = 0
    with WatchSession(server.address, inspector, WatchOptions(seconds=12)) as session:
        for _ in session:
            found = session.figures.events
            if found:
                break
    assert found == 1 and session.figures.latency(0.99) < 1000
    assert not any(
        thread.name.startswith("reading") and thread.is_alive() for thread in threading.enumerate()
    )


def test_only_what_changes_is_scored(work: Path, normal_frames: Any, folder: Any, tmp_path: Path) -> None:
    still = folder(tmp_path / "still", [normal_frames[0]] * 10 + [255 - normal_frames[0]] * 10)
    inspector = Inspector.fit(np.array(normal_frames[::8]), detector="gaussian", size=64)
    with WatchSession(str(still), inspector, WatchOptions(changed=5)) as session:
        assert len(list(session)) == 2
    with WatchSession(str(still), inspector, WatchOptions(every=4)) as session:
        assert len(list(session)) == 5


def scored(work: Path, frames: Any, numbers: list[int], every: int = 1) -> list[Any]:
    """Findings of some frames of a clip, the others being dropped."""
    from anomalens.streams.frame import Frame, Moment
    from anomalens.streams.watching import AreaWatch, watch

    inspector = Inspector.load(work / "m.anomalens")
    looks = [AreaWatch(inspector, rules_for(inspector)[0])]
    shown = (Frame(frames[n], Moment(n, n / 20), f"f{n}") for n in numbers)
    return [step[0].finding for step in watch(shown, looks, every=every) if isinstance(step, list)]


def test_speeds_are_those_of_the_gap_that_was_learnt(work: Path, odd_frames: Any) -> None:
    """Scoring fewer frames makes nothing faster, and dropped ones are not jumped over."""
    every = {f.image: f.score for f in scored(work, odd_frames, list(range(60)))}
    third = scored(work, odd_frames, list(range(60)), every=3)
    assert all(f.score == every[f.image] for f in third) and len(third) == 20
    dropped = scored(work, odd_frames, [n for n in range(60) if n % 20 < 10])
    missing = [f.image for f in dropped if f.error]
    assert missing and all(int(name[1:]) % 20 < 3 for name in missing)
    most = max(score for score in every.values())
    assert max(f.score for f in dropped if f.score is not None) <= 1.5 * most


def test_a_budget_needs_normal_video(work: Path, normal_frames: Any) -> None:
    inspector = Inspector.fit(np.array(normal_frames[::8]), detector="gaussian", size=64)
    with pytest.raises(SettingError, match="has seen no normal video"):
        rules_for(inspector, per_hour=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.mp4", "--model", "m.anomalens"], "There is no video nowhere.mp4"),
        (["odd.mp4"], "There is no model for the stream"),
        (["odd.mp4", "--model", "m.anomalens", "--webhook", "http://x/"], "add --spool DIR"),
        (["odd.mp4", "--model", "m.anomalens", "--areas", "none.json"], "cannot be read"),
    ],
)
def test_what_cannot_be_watched_is_told(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, words: list[str], said: str
) -> None:
    monkeypatch.chdir(work)
    assert run(["watch", *words]) == 2
    assert said in capsys.readouterr().err


def test_pictures_and_videos_are_not_mixed(work: Path, capsys: Any) -> None:
    assert run(["fit", str(work / "normal.mp4"), str(work / "odd"), "--out", str(work / "x.anomalens")]) == 2
    assert "is no video and others are" in capsys.readouterr().err


def test_any_picture_detector_learns_from_video(work: Path, capsys: Any) -> None:
    out = work / "g.anomalens"
    assert (
        run(["fit", str(work / "normal.mp4"), "--detector", "gaussian", "--size", "64", "--out", str(out)])
        == 0
    )
    inspector = Inspector.load(out)
    assert inspector.calibration.n_groups >= 15 and "stream" in inspector.card


def test_walkers_each_odd_stretch_is_an_event(real_set: Callable[[str], Path]) -> None:
    """Three clips of the walkway, one odd stretch each, at a budget of one false event a minute."""
    (task,) = load_tasks(real_set("ucsd_ped2"))
    from anomalens.streams.learning import with_normal_blocks

    with pytest.warns():
        inspector = with_normal_blocks(Inspector.fit(task.train, detector="motion"), fps=10)
    rules, _ = rules_for(inspector, per_hour=60)
    for clip in ("test_01", "test_04", "test_12"):
        entries = [entry for entry in task.test if entry.group == clip]
        odd = [entry.verdict != "normal" for entry in entries]
        events = [event for event in _watched(inspector, rules, entries) if event.over]
        assert len(events) == 1
        assert odd[events[0].start.frame] and events[0].end.frame > 150


def _watched(inspector: Inspector, rules: Any, entries: list[Any]) -> list[Any]:
    from anomalens.streams.frame import Frame, Moment
    from anomalens.streams.watching import AreaWatch, watch

    frames = (Frame(e.read().pixels, Moment(i, i / 10), e.id) for i, e in enumerate(entries))
    steps = watch(frames, [AreaWatch(inspector, rules)])
    return [event for step in steps if isinstance(step, list) for one in step for event in one.events]

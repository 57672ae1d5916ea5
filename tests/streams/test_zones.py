"""Zones: who stands where, for how long, how many, and which way; with limits given and learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.cli.main import run
from anomalens.streams.events import Event
from anomalens.streams.frame import Frame, Moment, StreamError
from anomalens.streams.movers import Movers
from anomalens.streams.tracks import Tracks
from anomalens.streams.zone_events import ZoneEvents
from anomalens.streams.zones import Zone, ZoneWatch, read_zones, write_learnt

HEIGHT, WIDTH, FPS = 120, 200, 10
GROUND = np.clip(np.random.default_rng(0).normal(150, 3, (HEIGHT, WIDTH)), 0, 255)
LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]


def scene(seconds: float, *people: Callable[[float], tuple[float, float] | None]) -> list[Frame]:
    """Frames in which dark 10 x 24 px people stand with their feet where they say, second by second."""
    frames = []
    for t in range(round(seconds * FPS)):
        picture = GROUND.copy()
        for person in people:
            at = person(t / FPS)
            if at is not None:
                x, y = round(at[0]), round(at[1])
                picture[max(0, y - 24) : y, max(0, x - 5) : x + 5] = 40
        pixels = np.repeat(picture.astype(np.uint8)[..., None], 3, axis=2)
        frames.append(Frame(pixels, Moment(t, t / FPS), f"f{t}"))
    return frames


def after(begin: float, way: Callable[[float], tuple[float, float]]) -> Callable[[float], Any]:
    """Nobody until then, and then whoever goes this way."""
    return lambda t: way(t - begin) if t >= begin else None


def walks(x: float, speed: float, y: float = 90) -> Callable[[float], tuple[float, float]]:
    return lambda t: (x + speed * t, y)


def stands(x: float, y: float = 90, until: float = 1e9) -> Callable[[float], tuple[float, float] | None]:
    return lambda t: (x, y) if t < until else None


def zone(kind: str, limit: float | None = None, place: Any = LEFT) -> Zone:
    from anomalens.streams.areas import Area

    return Zone("z", kind, Area("z", tuple(map(tuple, place))), limit)


def told(frames: list[Frame], *zones: Zone) -> list[Event]:
    events = ZoneEvents(zones)
    found = [event for frame in frames for event in events.look(frame)]
    return [*found, *events.finish()]


def test_who_moves_is_one_track_while_it_moves_and_has_a_place() -> None:
    movers, tracks = Movers(), Tracks()
    for frame in scene(8, after(2, walks(10, 20))):
        seen = tracks.follow(movers.look(frame.pixels), frame.moment)
    (track,) = seen
    assert track.first.seconds == pytest.approx(2, abs=0.3)
    assert track.foot[0] == pytest.approx(10 + 20 * 5.9, abs=8) and track.foot[1] == pytest.approx(90, abs=6)


def test_a_gain_of_the_whole_picture_is_nobody() -> None:
    movers = Movers()
    frames = scene(4)
    found = [movers.look(frame.pixels) for frame in frames]
    brighter = [np.clip(frame.pixels * 1.12, 0, 255).astype(np.uint8) for frame in frames]
    found += [movers.look(pixels) for pixels in brighter]
    assert not any(found)


def test_standing_still_does_not_make_a_person_background_within_a_minute() -> None:
    movers = Movers()
    found = [movers.look(frame.pixels) for frame in scene(60, after(2, stands(50)))]
    assert all(len(one) == 1 for one in found[25:])


def test_a_forbidden_zone_is_entered_with_the_feet() -> None:
    crossing = scene(10, after(2, walks(190, -25)))
    began, over = told(crossing, zone("forbidden"))
    assert began.kind == "forbidden" and began.area == "z" and not began.over and over.over
    assert began.start.seconds == pytest.approx(2 + 90 / 25, abs=0.8)
    assert "is in z" in began.text and began.to_json()["regions"][0]["box"][0] < 110
    assert told(scene(6, after(2, walks(190, -10))), zone("forbidden")) == []  # stays right


def test_loitering_is_a_long_stay_of_one_and_not_of_many_in_turn() -> None:
    one = scene(14, after(2, stands(50)))
    began, _ = told(one, zone("loitering", 6))
    assert began.end.seconds == pytest.approx(8, abs=0.6)
    in_turn = scene(14, after(2, stands(30, until=4)), after(8, stands(70, until=4)))
    assert told(in_turn, zone("loitering", 6)) == []


def test_left_behind_is_what_does_not_move() -> None:
    def moves(t: float) -> tuple[float, float]:
        return 50 + 30 * np.sin(t), 90

    assert told(scene(14, after(2, moves)), zone("left-behind", 6)) == []
    assert told(scene(14, after(2, stands(50))), zone("left-behind", 6))[0].kind == "left-behind"


def test_a_crowd_and_an_empty_place_last_a_second() -> None:
    three = [after(3, stands(x, until=6)) for x in (20, 50, 80)]
    crowd = told(scene(14, *three), zone("crowd", 2))
    assert [event.over for event in crowd] == [False, True] and "3 things in z, more than 2" in crowd[0].text
    always = [after(1.8, stands(20)), after(1.8, stands(60, until=6))]
    empty = told(scene(14, *always), zone("empty", 2))
    assert any(event.start.seconds > 6 for event in empty)


def test_the_wrong_way_across_a_line() -> None:
    """A line downward has the west on its right: from there to its left one walks eastward."""
    line = zone("wrong-way", place=[[0.5, 0.0], [0.5, 1.0]])
    assert told(scene(8, after(2, walks(180, -25))), line) == []
    east = told(scene(8, after(2, walks(20, 25))), line)
    assert len(east) == 2 and east[0].text.endswith("the wrong way")


def test_who_goes_and_comes_back_has_not_stayed() -> None:
    def to_and_fro(t: float) -> tuple[float, float]:
        return (70 if t % 6 < 2 else 150), 90

    slow = scene(16, after(2, lambda t: (80 + 40 * np.sin(t * 0.9), 90)))
    assert told(slow, zone("loitering", 6)) == []
    assert told(scene(16, after(2, to_and_fro)), zone("loitering", 6)) == []


def test_few_is_learnt_from_the_time_when_there_was_a_background() -> None:
    events = ZoneEvents([zone("empty")])
    people = [after(1.6, stands(x)) for x in (20, 50, 80)]  # a moment after the background is there
    for frame in scene(12, *people):
        events.look(frame)
    assert set(events.watches[0].counts) == {3}
    assert events.watches[0].learnt().limit == 2


def test_limits_are_learnt_from_what_is_normal(tmp_path: Path) -> None:
    file = tmp_path / "zones.json"
    listed = [
        {"name": "stay", "kind": "loitering", "polygon": LEFT},
        {"name": "many", "kind": "crowd", "polygon": LEFT},
        {"name": "given", "kind": "loitering", "polygon": LEFT, "limit": 99},
        {"name": "off", "kind": "forbidden", "polygon": LEFT, "off": True},
    ]
    file.write_text(json.dumps({"zones": listed}))
    zones = read_zones(file)
    assert [one.name for one in zones] == ["stay", "many", "given"]
    events = ZoneEvents(zones)
    for frame in scene(14, after(2, stands(30, until=4)), after(3, stands(70, until=5))):
        events.look(frame)
    write_learnt(file, tmp_path / "learnt.json", events.watches)
    learnt = {
        item["name"]: item.get("limit")
        for item in json.loads((tmp_path / "learnt.json").read_text())["zones"]
    }
    assert learnt["stay"] == pytest.approx(1.25 * 5, abs=0.8)
    assert learnt["many"] == 3 and learnt["given"] == 99 and learnt["off"] is None
    assert len(read_zones(tmp_path / "learnt.json")) == 3


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"kind": "crowd", "polygon": LEFT}, "needs a name"),
        ({"name": "a", "kind": "party", "polygon": LEFT}, "kind 'party'"),
        ({"name": "a", "kind": "crowd", "polygon": LEFT[:2]}, "Zone 1"),
        ({"name": "a", "kind": "wrong-way", "line": LEFT[:1]}, "line of two points"),
        ({"name": "a", "kind": "crowd", "polygon": LEFT, "limit": "six"}, "Zone 1"),
    ],
)
def test_what_is_no_zone_is_told(tmp_path: Path, item: Any, said: str) -> None:
    file = tmp_path / "zones.json"
    file.write_text(json.dumps({"zones": [item]}))
    with pytest.raises(StreamError, match=said):
        read_zones(file)


def test_a_point_is_inside_by_its_own_polygon() -> None:
    triangle = ZoneWatch(zone("crowd", place=[[0, 0], [100, 0], [0, 100]])).zone
    assert triangle.holds((20, 20), (WIDTH, HEIGHT)) and not triangle.holds((90, 90), (WIDTH, HEIGHT))


def test_zones_need_no_model(tmp_path: Path, video: Any, capsys: Any) -> None:
    frames = [frame.pixels[:96, :160] for frame in scene(12, after(3, stands(50)))]
    clip = video(tmp_path / "clip.mp4", frames)  # at 20 frames a second
    (tmp_path / "zones.json").write_text(
        json.dumps({"zones": [{"name": "bench", "kind": "loitering", "polygon": LEFT, "limit": 2}]})
    )
    words = [
        "watch",
        str(clip),
        "--zones",
        str(tmp_path / "zones.json"),
        "--snapshots",
        str(tmp_path / "shots"),
    ]
    assert run([*words, "--page", str(tmp_path / "page")]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["state"] for line in lines] == ["began", "over"] and lines[0]["kind"] == "loitering"
    assert lines[0]["evidence"].startswith("thing 1 has been in bench")
    assert list((tmp_path / "shots").iterdir()) and (tmp_path / "page" / "index.html").exists()

"""Areas: polygons in a file, cut out of frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.streams.areas import Area, read_areas
from anomalens.streams.frame import StreamError

SQUARE = [[10, 20], [40, 20], [40, 60], [10, 60]]


def test_the_part_is_cut_and_what_is_outside_of_the_polygon_is_grey() -> None:
    frame = np.full((80, 100, 3), 200, np.uint8)
    part, corner = Area("door", ((10, 20), (40, 20), (10, 60))).cut(frame)
    assert part.shape == (40, 30, 3) and corner == (10, 20)
    assert (part[2, 2] == 200).all() and (part[-2, -2] == 128).all()
    assert (frame == 200).all()


def test_shares_of_the_frame_are_corners_at_any_size() -> None:
    area = Area("door", ((0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)))
    assert area.cut(np.zeros((80, 100, 3), np.uint8))[0].shape == (40, 50, 3)
    assert area.cut(np.zeros((160, 200, 3), np.uint8))[0].shape == (80, 100, 3)


def test_areas_are_read_with_models_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "areas.json"
    file.write_text(json.dumps({"areas": [{"name": "door", "polygon": SQUARE, "model": "door.anomalens"}]}))
    (area,) = read_areas(file)
    assert area.model == tmp_path / "door.anomalens" and area.polygon[2] == (40, 60)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "lists no areas"),
        ({"areas": 3}, "lists no areas"),
        ([{"name": "a", "polygon": SQUARE}, {"name": "a", "polygon": SQUARE}], "two areas named 'a'"),
        ([{"name": "a", "polygon": SQUARE[:2]}], "Area 1 .* three corners"),
        ([{"polygon": SQUARE}], "Area 1 .* needs a name"),
        ([{"name": "a", "polygon": [[0, 0], [1, "x"], [3, 3]]}], "Area 1"),
        ([{"name": "a", "polygon": [[0, 0], [float("nan"), 1], [3, 3]]}], "Area 1"),
    ],
)
def test_what_is_no_area_is_told(tmp_path: Path, data: Any, said: str) -> None:
    file = tmp_path / "areas.json"
    file.write_text(json.dumps(data))
    with pytest.raises(StreamError, match=said):
        read_areas(file)


def test_a_missing_file_and_no_json_are_told(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="cannot be read"):
        read_areas(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(StreamError, match="no JSON"):
        read_areas(tmp_path / "bad.json")


def test_outside_of_the_frame_or_too_small_is_told() -> None:
    frame = np.zeros((80, 100, 3), np.uint8)
    with pytest.raises(StreamError, match="reaches beyond the frame of 100 x 80 px"):
        Area("a", ((0, 0), (120, 0), (120, 50))).cut(frame)
    with pytest.raises(StreamError, match="8 px each way"):
        Area("a", ((2, 2), (5, 2), (5, 50))).cut(frame)

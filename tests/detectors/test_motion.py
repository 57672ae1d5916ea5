"""Motion: what is fast for where it is, in made clips and on the walkway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomalens import ImageSet, Inspector
from anomalens.datasets import load_tasks
from anomalens.detectors.checks import yield_checks
from anomalens.detectors.motion.motion import Motion
from anomalens.detectors.motion.perspective import usual_speeds
from anomalens.metrics.ranking import auroc

HEIGHT, WIDTH = 96, 160
GROUND = np.clip(np.random.default_rng(0).normal(120, 12, (HEIGHT, WIDTH)), 0, 255)


def clip(frames: int, walkers: list[tuple[float, float, int]]) -> list[np.ndarray]:
    """Dark textured squares of 12 px that walk to the right: (start, pixels a frame, row)."""
    coat = np.random.default_rng(1).integers(10, 90, (12, 12))
    shown = []
    for t in range(frames):
        picture = GROUND.copy()
        for start, speed, row in walkers:
            x = round(start + speed * t) % (WIDTH - 12)
            picture[row : row + 12, x : x + 12] = coat
        shown.append(picture.astype(np.uint8))
    return shown


def frames_of(*clips: list[np.ndarray]) -> ImageSet:
    return ImageSet.from_arrays(
        [frame for one in clips for frame in one],
        ids=[f"clip{k}/{t:03d}" for k, one in enumerate(clips) for t in range(len(one))],
    )


@pytest.fixture(scope="module")
def walkway() -> Inspector:
    """Far things pass at 1 px a frame, near ones at 3."""
    clips = [clip(40, [(10 * k, 1, 10), (60 + 10 * k, 2, 40), (20 * k, 3, 76)]) for k in range(4)]
    with pytest.warns():  # four clips are four groups
        return Inspector.fit(frames_of(*clips), detector="motion", size=(160, 96))


@pytest.mark.parametrize("check", list(yield_checks(Motion)), ids=str)
def test_keeps_the_contract(check: Callable[[], None]) -> None:
    check()


def test_the_same_speed_is_usual_near_and_fast_afar(walkway: Inspector) -> None:
    near = [f.score for f in walkway.check(frames_of(clip(20, [(30, 3, 76)])))][3:]
    far = list(walkway.check(frames_of(clip(20, [(30, 3, 10)])), explain="flagged"))[3:]
    assert max(near) < min(f.score for f in far)
    assert all(f.anomalous for f in far)
    assert "times as fast as the fastest that is usual there" in far[0].explanation
    assert far[0].regions[0].box[1] < HEIGHT // 3


def test_a_clip_begins_without_motion_and_never_compares_with_another_clip(walkway: Inspector) -> None:
    still = [GROUND.astype(np.uint8)] * 5
    scores = [f.score for f in walkway.check(frames_of(clip(5, [(30, 3, 76)]), still))]
    assert scores[0] == 0 and max(scores[5:]) < 0.05 < min(scores[3:5])


def test_a_line_through_busy_rows_says_what_is_usual_where_hardly_anybody_walks() -> None:
    rng = np.random.default_rng(0)
    speeds = np.zeros((300, 20, 30), np.float32)
    for row in range(5, 20):  # usual speeds grow from 1 to 4; one row has seen slow walkers alone
        busy = rng.random((300, 30)) < (0.01 if row == 18 else 0.2)
        top = (row - 5) / 5 + 1 if row != 18 else 1.0
        speeds[:, row][busy] = rng.uniform(0.5, top, busy.sum())
    usual = usual_speeds(speeds, 0.3)
    assert usual[18] == pytest.approx(3.6, abs=0.5)
    assert (np.diff(usual[5:]) > 0).all() and (usual > 0).all()


def test_nothing_that_moves_leaves_something_to_divide_by() -> None:
    assert (usual_speeds(np.zeros((5, 4, 6), np.float32), 0.3) >= 0.3).all()


def test_walkers_cyclists_and_carts(real_set: Callable[[str], Path]) -> None:
    """The goal is 0.95 for single frames that know only the past."""
    (task,) = load_tasks(real_set("ucsd_ped2"))
    with pytest.warns():
        inspector = Inspector.fit(task.train, detector="motion")
    findings = list(inspector.check(task.test))
    bad = np.array([entry.verdict != "normal" for entry in task.test])
    scores = np.array([finding.score for finding in findings])
    assert auroc(scores[~bad], scores[bad]) >= 0.96
    flagged = np.array([finding.anomalous for finding in findings])
    assert flagged[~bad].mean() <= 0.1 and flagged[bad].mean() >= 0.7

"""Events from scores: smoothing, two thresholds, what counts as one event; and budgets an hour."""

from __future__ import annotations

import numpy as np
import pytest

from anomalens.errors import ModelFileError, SettingError
from anomalens.inspector.finding import Finding
from anomalens.streams.budget import BLOCK, NormalBlocks
from anomalens.streams.events import Event, EventMaker, Rules
from anomalens.streams.frame import Frame, Moment

PICTURE = np.zeros((8, 8, 3), np.uint8)


def told(scores: list[float], rules: Rules, fps: float = 10) -> list[Event]:
    """Events of scores that come so many a second."""
    maker = EventMaker(rules)
    events: list[Event] = []
    for number, score in enumerate(scores):
        frame = Frame(PICTURE, Moment(number, number / fps), f"f{number}")
        events += maker.add(frame, Finding(image=frame.name, score=score))[1]
    return [*events, *maker.finish()]


SHARP = Rules(high=1.0, low=0.5, smoothing=0, at_least=0.2, pause=0.5)


def test_an_event_has_a_beginning_a_peak_and_an_end() -> None:
    began, over = told([0, 0, 1.2, 1.5, 2.0, 0.7, 0.6, 0, 0, 0, 0, 0, 0, 0], SHARP)
    assert (began.over, over.over) == (False, True)
    assert began.number == over.number == 1
    assert over.start.frame == 2 and over.peak.frame == 4 and over.end.frame == 6
    assert over.score == 2.0 and over.frames == 5
    line = over.to_json()
    assert line["state"] == "over" and line["start"] == 0.2 and line["peak_frame"] == 4


def test_between_the_thresholds_an_event_goes_on_but_does_not_begin() -> None:
    assert told([0.9] * 20, SHARP) == []
    _, over = told([1.1, 1.1, 1.1, *[0.6] * 10, *[0] * 8], SHARP)
    assert over.end.frame == 12


def test_a_short_pause_does_not_end_an_event_and_a_long_one_does() -> None:
    high, calm = [1.2] * 4, [0.0] * 4
    assert len(told([*high, *calm, *high, *[0] * 9], SHARP)) == 2
    assert len(told([*high, *[0] * 9, *high, *[0] * 9], SHARP)) == 4


def test_a_flash_is_no_event() -> None:
    assert told([0, 0, 5, 0, 0, 0, 0, 0, 0, 0], SHARP) == []


def test_smoothing_takes_the_past_alone_and_counts_seconds_not_frames() -> None:
    rules = Rules(high=0.6, low=0.3, smoothing=0.5, at_least=0)
    slow = told([0] * 5 + [1.0] * 20, rules, fps=10)[0]
    fast = told([0] * 50 + [1.0] * 200, rules, fps=100)[0]
    assert slow.start.seconds - 0.5 == pytest.approx(fast.start.seconds - 0.5, abs=0.15)


def test_an_event_under_way_is_over_when_the_stream_is() -> None:
    began, over = told([1.2] * 5, SHARP)
    assert not began.over and over.over


def correlated(n: int, seed: int) -> np.ndarray:
    """Scores of normal video that forget slowly: ten a second, a correlation of 0.9 from one to the next."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=n)
    scores = np.empty(n)
    scores[0] = noise[0]
    for i in range(1, n):
        scores[i] = 0.9 * scores[i - 1] + np.sqrt(1 - 0.81) * noise[i]
    return scores


@pytest.mark.parametrize("per_hour", [20, 60])
def test_a_budget_holds_on_new_normal_video(per_hour: float) -> None:
    """Ten minutes to learn from, two hours to watch; twice the budget is the limit, and not a tenth of it."""
    seen = correlated(6000, 0)
    blocks = NormalBlocks.of([[(i / 10, float(s)) for i, s in enumerate(seen)]], 0.2)
    assert len(blocks.maxima) == 600 / BLOCK
    high, said = blocks.threshold(per_hour)
    rules = Rules(high=high, low=float(np.quantile(seen, 0.8)), smoothing=0.2, at_least=0, pause=1)
    new = correlated(72_000, 1)
    events = [event for event in told(new.tolist(), rules) if event.over]
    assert 0.1 * per_hour <= len(events) / 2 <= 2 * per_hour
    assert "300 blocks" in said


def test_too_little_normal_video_is_told() -> None:
    few = NormalBlocks.of([[(float(i), float(i % 3)) for i in range(8)]], 0.2)
    with pytest.raises(SettingError, match="too few for a budget"):
        few.threshold(1)
    some = NormalBlocks(tuple(np.random.default_rng(0).normal(size=20)), 0.2)
    assert "extrapolated" in some.threshold(1)[1]
    with pytest.raises(SettingError, match="more than 0"):
        some.threshold(0)


def test_normal_video_survives_the_card_and_damage_is_told() -> None:
    blocks = NormalBlocks((1.0, 2.0), 0.2)
    assert NormalBlocks.from_json(blocks.to_json()) == blocks
    for bad in ({}, {"maxima": ["x"], "smoothing": 0.2}, {"maxima": [float("nan")], "smoothing": 0}, 3):
        with pytest.raises(ModelFileError):
            NormalBlocks.from_json(bad)

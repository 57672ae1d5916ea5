"""The common scale: share of normal images above, continuous, increasing and unbounded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anomalens.calibration.tail_scale import TailScale
from anomalens.errors import SettingError


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    return np.random.default_rng(0).gamma(3.0, size=4000)


def test_it_is_minus_log10_of_the_share_above(normal: np.ndarray) -> None:
    scale = TailScale.fit(normal)
    new = np.random.default_rng(1).gamma(3.0, size=200_000)
    for place in (0.5, 1.0, 2.0, 2.5):
        assert np.mean(scale(new) >= place) == pytest.approx(10**-place, rel=0.35)


@pytest.mark.parametrize("n", [2, 3, 5, 39, 40, 400])
def test_it_increases_everywhere_and_never_ends(n: int) -> None:
    scores = np.random.default_rng(n).normal(size=n)
    scale = TailScale.fit(scores)
    grid = np.linspace(scores.min() - 20, scores.max() + 20, 2000)
    assert (np.diff(scale(grid)) > 0).all()
    assert np.abs(np.diff(scale(grid))).max() < 1 or n < 5  # no jumps


def test_its_inverse_leads_back(normal: np.ndarray) -> None:
    scale = TailScale.fit(normal)
    for score in (-5.0, float(scale.scores[0]), 0.5, 3.0, float(scale.scores[-1]), 50.0):
        assert scale.inverse(float(scale(score))) == pytest.approx(score)


def test_units_and_places_of_the_scores_do_not_matter(normal: np.ndarray) -> None:
    there = TailScale.fit(normal)(normal[:50])
    np.testing.assert_allclose(TailScale.fit(1000 * normal - 7)(1000 * normal[:50] - 7), there, atol=1e-6)


def test_equal_scores_still_order_what_is_above() -> None:
    scale = TailScale.fit(np.full(30, 4.0))
    values = scale([3.0, 4.0, 4.1, 5.0])
    assert np.isfinite(values).all() and (np.diff(values) > 0).all()


def test_it_is_read_back_as_it_was(normal: np.ndarray) -> None:
    scale = TailScale.fit(normal)
    again = TailScale.from_json(json.loads(json.dumps(scale.to_json())))
    np.testing.assert_array_equal(scale(normal), again(normal))
    assert np.isnan(scale([np.nan])).all()


@pytest.mark.parametrize("scores", [[1.0], [], [1.0, np.inf], [np.nan, 1.0]])
def test_too_few_scores_or_no_numbers_are_refused(scores: list[float]) -> None:
    with pytest.raises(SettingError, match="two or more finite scores"):
        TailScale.fit(scores)


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [2, 1]},
        {"values": [1]},
        {"above": 0},
        {"below": -1},
        {"scores": []},
        {"above": float("inf")},
    ],
)
def test_a_damaged_scale_is_refused(change: dict[str, object]) -> None:
    good = {"scores": [1, 2], "values": [0, 1], "below": 1, "above": 1}
    TailScale.from_json(good)
    with pytest.raises(ValueError, match="tail scale"):
        TailScale.from_json({**good, **change})

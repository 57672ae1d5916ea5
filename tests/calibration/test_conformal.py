"""p-values, and the calibration that keeps them."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalens.calibration import Calibration, Policy, p_values
from anomalens.errors import ModelFileError, SettingError

few_values = st.integers(-3, 6).map(float)
score_lists = st.lists(few_values, min_size=1, max_size=60)
finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


def test_the_p_value_counts_normal_scores_at_least_as_high() -> None:
    normal = np.array([3.0, 1.0, 2.0, 2.0])
    scores = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0])
    np.testing.assert_array_equal(p_values(scores, normal), np.array([5, 5, 4, 2, 2, 1]) / 5)


def test_a_score_that_is_no_number_is_never_a_quiet_pass() -> None:
    normal = np.arange(19.0)
    assert p_values(np.array([np.nan]), normal)[0] == 1 / 20
    calibration = Calibration.from_scores(normal)
    assert calibration.p_value(float("nan")) == 1 / 20
    assert calibration.is_anomalous(float("nan"))


@given(normal=score_lists, scores=score_lists, seed=st.integers(0, 9))
def test_the_order_of_the_normal_scores_does_not_matter(
    normal: list[float], scores: list[float], seed: int
) -> None:
    shuffled = np.random.default_rng(seed).permutation(normal)
    np.testing.assert_array_equal(
        p_values(np.array(scores), shuffled), p_values(np.array(scores), np.array(normal))
    )


@given(normal=score_lists, score=finite)
def test_the_p_value_is_its_formula(normal: list[float], score: float) -> None:
    calibration = Calibration.from_scores(np.array(normal))
    tail = calibration.tail
    if tail is not None and score > tail.start:
        assert calibration.p_value(score) == tail.p_value(score)
    else:
        expected = (1 + sum(s >= score for s in normal)) / (len(normal) + 1)
        assert calibration.p_value(score) == expected


@given(normal=score_lists, scores=st.tuples(finite, finite))
def test_a_higher_score_is_never_less_rare(normal: list[float], scores: tuple[float, float]) -> None:
    calibration = Calibration.from_scores(np.array(normal))
    low, high = (calibration.p_value(score) for score in sorted(scores))
    assert 0 < high <= low <= 1


@settings(max_examples=500)
@given(
    normal=score_lists,
    score=few_values,
    rate=st.fractions(Fraction(1, 200), Fraction(1, 2), max_denominator=200),
)
def test_flagged_exactly_where_the_p_value_is_at_most_the_rate(
    normal: list[float], score: float, rate: Fraction
) -> None:
    policy = Policy("false-alarm-rate", float(rate))
    calibration = Calibration.from_scores(np.array(normal), policy=policy)
    assert calibration.threshold.supported == (Fraction(1, len(normal) + 1) <= rate)
    p = calibration.p_value(score)
    if calibration.tail is None:
        p = Fraction(1 + sum(s >= score for s in normal), len(normal) + 1)
        assert calibration.is_anomalous(score) == (p <= max(rate, Fraction(1, len(normal) + 1)))
    elif abs(p - rate) > 1e-9:
        assert calibration.is_anomalous(score) == (p <= rate)
    if calibration.threshold.supported:
        assert calibration.threshold.expected_rate <= float(rate)


@given(normal=score_lists, score=few_values)
def test_the_percentile_counts_normal_scores_below(normal: list[float], score: float) -> None:
    percentile = Calibration.from_scores(np.array(normal)).percentile(score)
    assert percentile == pytest.approx(100 * np.mean(np.array(normal) < score))


@pytest.mark.parametrize("bad", [[np.nan, 1.0], [np.inf], []])
def test_scores_that_calibrate_nothing_are_refused(bad: list[float]) -> None:
    with pytest.raises(SettingError):
        Calibration.from_scores(np.array(bad))


def test_another_policy_keeps_the_scores() -> None:
    first = Calibration.from_scores(np.arange(50.0), np.arange(50.0), method="held-out", n_groups=7)
    second = first.with_policy(Policy("max", None))
    assert second.threshold.value == 49
    assert (second.method, second.n_groups) == ("held-out", 7)
    np.testing.assert_array_equal(second.scores, first.scores)


@pytest.mark.parametrize("n", [16, 60, 119])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_the_realised_rate_on_exchangeable_scores_is_near_the_asked_one(rate: float, n: int) -> None:
    """Many small calibrations with one new score each, of which some have a heavier tail than assumed."""
    rng = np.random.default_rng(1)
    trials = 4000
    for draw in (
        rng.exponential,
        lambda size: rng.gamma(2.0, size=size),
        lambda size: rng.normal(size=size) ** 2,
    ):
        flagged = 0
        for _ in range(trials):
            scores = draw(size=n + 1)
            calibration = Calibration.from_scores(scores[:-1], policy=Policy("false-alarm-rate", rate))
            flagged += calibration.is_anomalous(scores[-1])
        assert 0.6 * rate - 0.003 < flagged / trials < 1.35 * rate + 0.006


def test_one_odd_image_does_not_set_the_threshold() -> None:
    scores = np.random.default_rng(0).exponential(size=31)
    usual = Calibration.from_scores(scores).threshold.value
    odd = Calibration.from_scores(np.r_[scores[:-1], 20.0]).threshold.value
    assert usual < odd < 20


@pytest.mark.parametrize("name", ["equal", "one"])
def test_scores_that_do_not_scatter_have_no_tail(name: str) -> None:
    scores = np.full(40, 2.0) if name == "equal" else np.array([2.0])
    found = Calibration.from_scores(scores)
    assert found.tail is None and found.threshold.value == 2.0 and found.is_anomalous(2.1)


def test_a_fifth_of_what_is_flagged_by_chance_is_rejected() -> None:
    rng = np.random.default_rng(5)
    found = Calibration.from_scores(rng.exponential(size=500))
    said = [found.verdict(score) for score in rng.exponential(size=20_000)]
    flagged = [verdict != "ok" for verdict in said]
    assert np.mean(flagged) == pytest.approx(0.05, abs=0.03)
    assert np.mean([verdict == "reject" for verdict in said]) == pytest.approx(0.01, abs=0.012)
    assert flagged == [
        found.is_anomalous(score) for score in np.random.default_rng(5).exponential(size=20_500)[500:]
    ]
    assert found.verdict(float("nan")) == "reject"


def test_a_model_of_an_earlier_version_takes_steps() -> None:
    data = good_json()
    del data["tail"]
    found = Calibration.from_json(data)
    assert found.tail is None
    assert found.p_value(1e9) == 1 / (len(found.scores) + 1)


def test_the_rate_interval_holds_what_a_threshold_realises() -> None:
    """Exponential scores, so that a threshold's true rate is known."""
    rng = np.random.default_rng(2)
    trials, inside = 400, 0
    for _ in range(trials):
        calibration = Calibration.from_scores(
            rng.exponential(size=99), policy=Policy("false-alarm-rate", 0.05)
        )
        interval = calibration.rate_interval()
        assert interval is not None
        inside += interval[0] <= np.exp(-calibration.threshold.value) <= interval[1]
    assert inside / trials > 0.92


def test_the_rate_interval_counts_groups_and_not_images() -> None:
    scores = np.arange(199.0)
    policy = Policy("false-alarm-rate", 0.05)
    many = Calibration.from_scores(scores, policy=policy).rate_interval()
    few = Calibration.from_scores(scores, policy=policy, n_groups=39).rate_interval()
    assert many is not None
    assert few is not None
    assert few[1] - few[0] > 1.5 * (many[1] - many[0])


def test_a_threshold_that_no_group_supports_has_no_rate_interval() -> None:
    scores = np.random.default_rng(0).normal(size=60)
    assert Calibration.from_scores(scores, policy=Policy.parse("pareto=0.001")).rate_interval() is None


@given(
    pairs=st.lists(st.tuples(few_values, few_values), min_size=1, max_size=40),
    text=st.sampled_from(["false-alarm-rate=0.1", "quantile=0.9", "max", "mean-sigma=1", "f1"]),
    anomalous=score_lists,
)
def test_no_larger_share_of_normal_images_shows_a_region_than_is_flagged(
    pairs: list[tuple[float, float]], text: str, anomalous: list[float]
) -> None:
    scores, maxima = np.array(pairs).T
    calibration = Calibration.from_scores(
        scores, maxima, policy=Policy.parse(text), anomalous=np.array(anomalous)
    )
    level = calibration.region_threshold
    assert level is not None
    if calibration.tail is None or calibration.threshold.value <= calibration.tail.start:
        shown = int(np.sum(maxima > level))
        flagged = int(np.sum(scores > calibration.threshold.value))
        assert shown <= flagged
        if len(set(maxima)) == len(maxima) and flagged < len(maxima):
            assert shown == flagged  # the same rank, so that regions are not hidden either


def test_a_region_is_as_rare_as_a_flagged_image() -> None:
    rng = np.random.default_rng(3)
    scores, maxima = rng.exponential(size=(2, 200))
    found = Calibration.from_scores(scores, 7 * maxima, policy=Policy("false-alarm-rate", 0.05))
    assert found.region_threshold is not None
    assert np.mean(7 * rng.exponential(size=4000) > found.region_threshold) == pytest.approx(0.05, abs=0.03)


def test_in_an_earlier_model_a_threshold_beyond_the_normal_scores_is_carried_over_in_proportion() -> None:
    calibration = replace(
        Calibration.from_scores(
            np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), policy=Policy.parse("mean-sigma=3")
        ),
        tail=None,
    )
    level = calibration.threshold.value
    assert level > 4
    assert calibration.region_threshold == pytest.approx(3 * level / 4)


def test_an_image_level_calibration_has_no_region_threshold() -> None:
    assert Calibration.from_scores(np.arange(5.0)).region_threshold is None


@given(
    pairs=st.lists(st.tuples(finite, finite), min_size=1, max_size=20),
    rate=st.floats(1e-9, 0.5),
    with_maps=st.booleans(),
)
def test_every_bit_survives_json(pairs: list[tuple[float, float]], rate: float, with_maps: bool) -> None:
    scores, maxima = np.array(pairs).T
    before = Calibration.from_scores(
        scores, maxima if with_maps else None, policy=Policy("false-alarm-rate", rate), n_groups=1
    )
    after = Calibration.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False)))
    assert after.scores.tobytes() == before.scores.tobytes()
    assert (after.map_maxima is None) == (not with_maps)
    if with_maps:
        assert after.map_maxima is not None
        assert before.map_maxima is not None
        assert after.map_maxima.tobytes() == before.map_maxima.tobytes()
    assert (after.threshold, after.policy) == (before.threshold, before.policy)
    assert (after.method, after.n_groups) == (before.method, before.n_groups)


def good_json() -> dict[str, Any]:
    data: dict[str, Any] = Calibration.from_scores(np.arange(9.0), np.arange(9.0)).to_json()
    return data


NO_NUMBERS = [None, "x", {}, [], [[1.0]], float("nan"), float("inf"), 10**400, [10**400]]


@pytest.mark.parametrize("key", [key for key in good_json() if key != "tail"])
def test_a_missing_key_is_a_damaged_model_file(key: str) -> None:
    data = good_json()
    del data[key]
    with pytest.raises(ModelFileError):
        Calibration.from_json(data)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("scores", [*NO_NUMBERS, [2.0, 1.0], [1.0, float("nan")], ["1"], [True], 3.0]),
        ("map_maxima", [*NO_NUMBERS[1:], [1.0], [9.0] * 8 + [1.0], [0.0] * 8 + [float("nan")]]),
        ("n_groups", [*NO_NUMBERS, 0, -1, 2.5, "9"]),
        ("method", [*NO_NUMBERS, "guessed"]),
        ("policy", [*NO_NUMBERS, "max=1", "false-alarm-rate=2", 5]),
        ("threshold", NO_NUMBERS),
        ("tail", [[], 3, {"start": 1.0}, {"start": 1.0, "total": -1.0, "count": 3.0, "share": 0.3}]),
    ],
)
def test_a_value_of_another_kind_is_a_damaged_model_file(key: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ModelFileError):
            Calibration.from_json({**good_json(), key: value})


@pytest.mark.parametrize("key", ["value", "expected_rate", "supported", "note"])
def test_a_damaged_threshold_is_a_damaged_model_file(key: str) -> None:
    for value in [None, [], {}, float("nan"), 10**400, "nan"]:
        if key == "note" and isinstance(value, str):
            continue
        data = good_json()
        data["threshold"][key] = value
        with pytest.raises(ModelFileError):
            Calibration.from_json(data)


@pytest.mark.parametrize("data", [None, 3, "text", [], {}])
def test_what_is_no_object_is_a_damaged_model_file(data: Any) -> None:
    with pytest.raises(ModelFileError):
        Calibration.from_json(data)


def test_exposures_of_few_parts_do_not_support_a_small_rate() -> None:
    """210 images of 4 parts are 4 witnesses, not 210: never silent."""
    policy = Policy("false-alarm-rate", 0.01)
    found = Calibration.from_scores(np.arange(210.0), policy=policy, n_groups=4)
    assert not found.threshold.supported
    assert "4 groups" in found.threshold.note
    assert found.threshold.value > Calibration.from_scores(np.arange(210.0), policy=policy).threshold.value
    assert found.with_policy(Policy("false-alarm-rate", 0.2)).threshold.supported
    interval = found.rate_interval()
    assert interval is not None and interval[1] > 0.5

"""Threshold policies: scores in, one number out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalens.calibration import Policy
from anomalens.errors import SettingError

score_lists = st.lists(st.integers(-4, 8).map(float), min_size=1, max_size=25)


def test_the_default_is_a_false_alarm_rate_of_one_in_twenty() -> None:
    assert Policy() == Policy.parse("false-alarm-rate") == Policy("false-alarm-rate", 0.05)


def test_the_supported_rate_leaves_its_share_above() -> None:
    threshold = Policy.parse("false-alarm-rate=0.05").threshold(np.arange(99.0))
    assert threshold.value == 94
    assert threshold.expected_rate == 0.05
    assert threshold.supported
    assert threshold.note == ""


@pytest.mark.parametrize(("n", "supported"), [(98, False), (99, True)])
def test_a_rate_needs_one_over_itself_less_one_images(n: int, supported: bool) -> None:
    threshold = Policy.parse("false-alarm-rate=0.01").threshold(np.arange(float(n)))
    assert threshold.supported == supported
    assert threshold.value == n - 1


@given(n=st.integers(1, 60), rate=st.floats(1e-6, 0.5))
def test_an_unsupported_rate_flags_above_the_largest_score_and_says_so(n: int, rate: float) -> None:
    threshold = Policy("false-alarm-rate", rate).threshold(np.arange(float(n)))
    if threshold.supported:
        assert threshold.note == ""
        return
    assert rate < 1 / (n + 1)
    assert threshold.value == n - 1
    assert threshold.expected_rate == 1 / (n + 1)
    assert f"{1 / (n + 1):.3g}" in threshold.note
    assert f"there are {n}" in threshold.note


def test_the_note_names_how_many_images_are_needed() -> None:
    note = Policy.parse("false-alarm-rate=0.01").threshold(np.arange(20.0)).note
    assert "needs 99 normal images" in note


@pytest.mark.parametrize(
    ("text", "value"),
    [("quantile=0.9", 90.0), ("quantile=1", 100.0), ("max", 100.0), ("mean-sigma=0", 50.0)],
)
def test_simple_policies_are_their_formula(text: str, value: float) -> None:
    normal = np.random.default_rng(0).permutation(np.arange(101.0))
    threshold = Policy.parse(text).threshold(normal)
    assert threshold.value == pytest.approx(value)
    assert threshold.expected_rate == (1 + np.sum(normal > threshold.value)) / 102


def test_mean_sigma_adds_standard_deviations() -> None:
    normal = np.array([1.0, 2.0, 6.0])
    threshold = Policy.parse("mean-sigma=2.5").threshold(normal)
    assert threshold.value == pytest.approx(3 + 2.5 * np.std([1, 2, 6]))


def test_pareto_finds_the_far_quantile_of_a_known_tail() -> None:
    normal = np.random.default_rng(3).exponential(size=4000)
    threshold = Policy.parse("pareto=0.0001").threshold(normal)
    assert threshold.value == pytest.approx(-np.log(1e-4), rel=0.2)
    assert threshold.expected_rate == 1e-4
    assert "extrapolated" in threshold.note


def test_pareto_reaches_beyond_what_the_conformal_rate_can() -> None:
    normal = np.random.default_rng(4).normal(size=200)
    threshold = Policy.parse("pareto=0.0001").threshold(normal)
    assert threshold.value > normal.max()


def test_pareto_needs_fifty_images() -> None:
    with pytest.raises(SettingError, match="needs 50 normal images; there are 49"):
        Policy.parse("pareto").threshold(np.arange(49.0))


def test_pareto_of_equal_scores_falls_back_to_the_conformal_rate() -> None:
    assert Policy.parse("pareto=0.05").threshold(np.ones(60)).value == 1


@given(normal=score_lists, anomalous=score_lists, kind=st.sampled_from(["f1", "youden"]))
def test_labelled_policies_are_as_good_as_trying_every_threshold(
    normal: list[float], anomalous: list[float], kind: str
) -> None:
    good, bad = np.array(normal), np.array(anomalous)

    def quality(level: float) -> float:
        tp, fp = np.sum(bad > level), np.sum(good > level)
        if kind == "f1":
            return float(2 * tp / (tp + fp + len(bad)))
        return float(tp / len(bad) - fp / len(good))

    threshold = Policy.parse(kind).threshold(good, bad)
    tried = np.arange(-5.5, 9.5)
    assert quality(threshold.value) == pytest.approx(max(map(quality, tried)))
    assert threshold.expected_rate == (1 + np.sum(good > threshold.value)) / (len(good) + 1)


@pytest.mark.parametrize("kind", ["f1", "youden"])
@pytest.mark.parametrize("anomalous", [None, np.array([])])
def test_labelled_policies_say_that_they_need_labels(kind: str, anomalous: np.ndarray | None) -> None:
    assert Policy.parse(kind).needs_labels
    with pytest.raises(SettingError, match="needs labelled anomalies"):
        Policy.parse(kind).threshold(np.arange(5.0), anomalous)


@pytest.mark.parametrize(
    "text",
    [
        "false-alarm-rate=0", "false-alarm-rate=0.6", "false-alarm-rate=nan", "quantile=0.4",
        "quantile=1.01", "max=3", "f1=0.5", "mean-sigma=-1", "mean-sigma=inf", "pareto=0.2",
        "mean-sigma=", "mean-sigma=three", "", "false-alarm",
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        Policy.parse(text)


def test_a_misspelt_policy_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingError, match="did you mean 'mean-sigma'"):
        Policy.parse("mean-sigm=3")


@given(rate=st.floats(1e-9, 0.5))
def test_its_text_is_read_back_as_the_same_policy(rate: float) -> None:
    policy = Policy("false-alarm-rate", rate)
    assert Policy.parse(str(policy)) == policy


def test_its_text_is_short_where_the_number_is() -> None:
    assert str(Policy.parse("mean-sigma=3")) == "mean-sigma=3"
    assert str(Policy.parse("false-alarm-rate=0.05")) == "false-alarm-rate=0.05"
    assert str(Policy.parse("max")) == "max"

"""`anomalens calibrate`."""

from __future__ import annotations

import csv
import json

import pytest


def threshold(anomalens, model, image):
    found = json.loads(anomalens("check", model, image, "--json").lines[0])
    return found["threshold"], found["score"], found["calibration"]


def test_another_threshold_changes_nothing_else(anomalens, model, normal, tmp_path):
    out = tmp_path / "strict.anomalens"
    answer = anomalens("calibrate", model, "--policy", "mean-sigma=5", "--out", out)
    assert answer.code == 0
    before, score, _ = threshold(anomalens, model, normal)
    after, same_score, calibration = threshold(anomalens, out, normal)
    assert after > before
    assert score == same_score
    assert calibration["policy"] == "mean-sigma=5" and calibration["method"] == "out-of-fold"
    assert f"threshold {before:.4g} → {after:.4g}" in answer.out


@pytest.mark.parametrize("policy", ["max", "quantile=0.9", "mean-sigma=3", "false-alarm-rate=0.1"])
def test_policies(anomalens, model, normal, tmp_path, policy):
    out = tmp_path / "m.anomalens"
    assert anomalens("calibrate", model, "--policy", policy, "--out", out).code == 0
    assert threshold(anomalens, out, normal)[2]["policy"] == policy


def test_a_false_alarm_rate_that_the_images_cannot_support_warns(anomalens, model, normal, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("calibrate", model, "--false-alarm-rate", 0.001, "--out", out)
    assert answer.code == 0
    assert "needs 999 normal images" in answer.err
    calibration = threshold(anomalens, out, normal)[2]
    assert calibration["supported"] is False and "999" in calibration["note"]


def test_in_place(anomalens, model, normal, tmp_path):
    out = tmp_path / "m.anomalens"
    out.write_bytes(model.read_bytes())
    assert anomalens("calibrate", out, "--policy", "max", "--out", out).code == 0
    assert threshold(anomalens, out, normal)[2]["policy"] == "max"
    assert [path.name for path in tmp_path.iterdir()] == ["m.anomalens"]


def test_images_that_the_model_has_not_seen(anomalens, model, parts, normal, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("calibrate", model, parts / "test" / "good", "--policy", "max", "--out", out)
    assert answer.code == 0
    assert "2 held-out scores" in answer.out
    calibration = threshold(anomalens, out, normal)[2]
    assert calibration["method"] == "held-out" and calibration["n"] == 2


def test_images_that_it_has_learnt_are_left_out(anomalens, model, parts, normal, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("calibrate", model, parts / "test" / "good", normal, "--policy", "max",
                       "--out", out)  # fmt: skip
    assert answer.code == 0
    assert "warning: 1 of 3 calibration images are among those the model learnt from" in answer.err
    assert "2 held-out scores" in answer.out


def test_a_dataset_is_refused_where_the_model_has_learnt_all_its_normal_images(
    anomalens, model, parts, tmp_path
):
    """Its defects must not be taken for normal."""
    out = tmp_path / "m.anomalens"
    answer = anomalens("calibrate", model, parts, "--policy", "max", "--out", out)
    assert answer.code == 2
    assert "that the model has not seen" in answer.err
    assert not out.exists()


@pytest.mark.parametrize("policy", ["f1", "youden"])
def test_labelled_anomalies_tune_the_threshold(anomalens, model, parts, broken, tmp_path, policy):
    manifest = tmp_path / "labelled.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([path, "good"] for path in sorted((parts / "test" / "good").iterdir()))
        writer.writerow([broken, "scratch"])
    out = tmp_path / "m.anomalens"
    answer = anomalens("calibrate", model, manifest, "--policy", policy, "--out", out)
    assert answer.code == 0
    level, score, _ = threshold(anomalens, out, broken)
    assert score > level


def test_policies_that_need_labels_say_so(anomalens, model, tmp_path):
    answer = anomalens("calibrate", model, "--policy", "f1", "--out", tmp_path / "m.anomalens")
    assert answer.code == 2
    assert "needs labelled anomalies" in answer.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--policy", "maxx"], "did you mean 'max'?"),
        (["--false-alarm-rate", "2"], "to 0.5"),
        (["--policy", "max=3"], "takes no value"),
        (["--false-alarm-rate", "0.1", "--policy", "max"], "give one of them"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(anomalens, model, tmp_path, options, said):
    answer = anomalens("calibrate", model, *options, "--out", tmp_path / "m.anomalens")
    assert answer.code == 2
    assert said in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_out_that_does_not_exist_is_named(anomalens, model, tmp_path):
    answer = anomalens("calibrate", model, "--policy", "max", "--out", tmp_path / "no" / "m.anomalens")
    assert answer.code == 2
    assert answer.err == f"error: The folder {tmp_path / 'no'} of --out does not exist; make it first.\n"


def test_a_folder_without_images(anomalens, model, tmp_path):
    (tmp_path / "empty").mkdir()
    answer = anomalens("calibrate", model, tmp_path / "empty", "--out", tmp_path / "m.anomalens")
    assert answer.code == 2
    assert "holds no image" in answer.err


def test_a_threshold_that_is_given(anomalens, model, normal, broken, tmp_path):
    out = tmp_path / "m.anomalens"
    _, score, _ = threshold(anomalens, model, broken)
    answer = anomalens("calibrate", model, "--threshold", repr(score), "--out", out)
    assert answer.code == 0 and "was given" in answer.err
    found = json.loads(anomalens("check", out, broken, "--json").lines[0])
    assert found["threshold"] == found["score"] == score and found["anomalous"] is False
    assert found["calibration"]["policy"] == f"given={score!r}"
    assert 0 < found["calibration"]["rate"] <= 1 / 31
    lower = tmp_path / "lower.anomalens"
    assert anomalens("calibrate", out, "--threshold", score - 1e-6, "--out", lower).code == 0
    found = json.loads(anomalens("check", lower, broken, "--json").lines[0])
    assert found["anomalous"] is True and found["regions"]
    assert "The threshold was given by a person." in found["explanation"]
    assert anomalens("check", lower, broken, "--out", tmp_path / "page").code == 1
    assert "chosen by a person" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("more", [("--policy", "max"), ("--false-alarm-rate", 0.1), ("--with-defects", "x")])
def test_a_threshold_beside_another_way_is_refused(anomalens, model, tmp_path, more):
    answer = anomalens("calibrate", model, "--threshold", 1, *more, "--out", tmp_path / "m.anomalens")
    assert answer.code == 2 and "beside another way" in answer.err


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_a_threshold_that_is_no_number_is_refused(anomalens, model, tmp_path, text):
    answer = anomalens("calibrate", model, "--threshold", text, "--out", tmp_path / "m.anomalens")
    assert answer.code == 2 and f"was given {text}" in answer.err

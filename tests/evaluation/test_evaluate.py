"""Evaluating a task, through the public functions and the command line, on real computation."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from anomalens import AnomalensWarning, Inspector
from anomalens.cli.main import run
from anomalens.datasets import load_tasks
from anomalens.evaluation.card_figures import image_part, pixel_part
from anomalens.evaluation.cards import ResultCard, read_cards, write_cards
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.evaluation.ground_truth import visible_map
from anomalens.evaluation.memory import peak_mb
from anomalens.inspector import FitOptions
from anomalens.metrics.ranking import image_auroc

SETTINGS = FitOptions(
    detector="patchcore", size=64, parameters={"min_bank": 100}, runtime="onnxruntime", threads=1
)
STABLE_KEYS = [
    "dataset",
    "protocol",
    "normal_class",
    "shots",
    "detector",
    "seed",
    "n_train",
    "n_test",
    "error",
    "image_auroc",
    "image_ap",
    "image_f1_max",
    "pixel_auroc",
    "pixel_ap",
    "aupro",
    "fpr95",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "confusion",
    "false_alarm_rate",
    "detection_rate",
    "fit_seconds",
    "ms_per_image",
    "peak_mb",
    "ci",
    "data_sha256",
    "versions",
    "settings",
    "scores",
]


def test_a_card_has_the_stable_keys_and_reads_back(card, tmp_path):
    data = card.to_json()
    assert set(STABLE_KEYS) <= set(data)
    write_cards(tmp_path / "card.json", [card])
    (again,) = read_cards([tmp_path / "card.json"])
    assert again.to_json() == data


def test_figures_are_those_of_the_raw_scores_on_the_card(card):
    scores = np.array([s.score for s in card.scores])
    labels = np.array([s.label != "good" for s in card.scores])
    assert (card.n_train, card.n_test, len(scores)) == (24, 16, 16)
    assert card.image_auroc == image_auroc(scores, labels) > 0.9
    flagged = scores > card.threshold
    assert card.confusion == {
        "tp": int((flagged & labels).sum()),
        "fp": int((flagged & ~labels).sum()),
        "fn": int((~flagged & labels).sum()),
        "tn": int((~flagged & ~labels).sum()),
    }
    assert card.ci["image_auroc"][0] <= card.image_auroc <= card.ci["image_auroc"][1]
    assert card.pixel_auroc > 0.9 and 0 < card.aupro <= 1


def test_intervals_of_pixel_figures_are_on_the_card_under_the_names_of_the_figures(card):
    for name in ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupimo"):
        low, high = card.ci[name]
        assert low - 1e-3 <= getattr(card, name) <= high + 1e-3
    assert card.to_json()["ci"]["aupro"] == list(card.ci["aupro"])
    assert replace(card, ci={}).to_json()["ci"] == {}


@pytest.mark.parametrize(("anomalous", "missing"), [(True, "normal"), (False, "anomalous")])
def test_where_a_class_is_missing_verdicts_still_count(anomalous, missing):
    verdicts = np.array([False, False, True])
    figures, intervals, (note,) = image_part(np.arange(3.0), np.full(3, anomalous), verdicts)
    assert "image_auroc" not in figures and "image_auroc" not in intervals and missing in note
    assert {figures["false_alarm_rate"], figures["detection_rate"]} == {None, 1 / 3}
    assert figures["confusion"] == {
        "tp": anomalous,
        "fp": not anomalous,
        "fn": 2 * anomalous,
        "tn": 2 - 2 * anomalous,
    }


def test_without_masks_there_are_no_pixel_figures():
    assert pixel_part([(np.zeros((4, 4), np.float32), None)]) == ({}, {}, [])


def test_the_one_scoring_path_gives_the_same_scores(task, card):
    inspector = Inspector.fit_with(SETTINGS, task.train)
    again = [finding.score for finding in inspector.check(task.test)]
    assert again == [s.score for s in card.scores]


def test_what_is_left_out_is_said(card):
    assert any("2 anomalous test images have no mask" in note for note in card.notes)


def test_pixel_figures_do_not_depend_on_how_images_are_prepared(task):
    """Masks go through the same geometry as maps: pad and stretch agree on square images."""
    stretched = evaluate_task(task, SETTINGS)
    padded = evaluate_task(task, replace(SETTINGS, preprocess="pad"))
    assert padded.pixel_auroc == pytest.approx(stretched.pixel_auroc, abs=1e-3)


def test_an_unreadable_test_image_is_counted_and_the_rest_evaluated(woven, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(woven, root)
    (root / "test/patch/000.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (task,) = load_tasks(root)
    found = evaluate_task(task, SETTINGS)
    assert (found.error, found.n_test) == (None, 15)
    assert any("1 of 16 test images cannot be read" in note for note in found.notes)
    assert [s.error is None for s in found.scores].count(False) == 1


def test_a_thin_mask_does_not_vanish_between_the_pixels_of_the_map(woven, tmp_path):
    root = tmp_path / "thin"
    shutil.copytree(woven, root)
    for path in (root / "ground_truth/patch").iterdir():
        mask = np.zeros((64, 64), np.uint8)
        mask[11, 3:40] = 255
        Image.fromarray(mask).save(path)
    (task,) = load_tasks(root)
    found = evaluate_task(task, replace(SETTINGS, size=32))
    assert found.pixel_auroc is not None
    assert not any("8 anomalous" in note for note in found.notes)


def test_what_cannot_be_fitted_is_a_card_with_an_error(task):
    found = evaluate_task(task, replace(SETTINGS, parameters={"coreset": 1}))
    assert "coreset_ratio" in found.error and found.image_auroc is None


@pytest.mark.filterwarnings("ignore:24 images form")
def test_tiny_images_are_prepared_as_fit_prepares_them(task):
    fast = replace(SETTINGS, size=None, policy="max")
    assert Inspector.fit_with(fast, task.train).preprocessing.output_size == (128, 128)
    assert Inspector.fit_with(replace(fast, size=96), task.train).preprocessing.output_size == (96, 96)


def test_the_command_on_a_card_reproduces_it(woven, tmp_path, capsys):
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    options = ["--size", "64", "-p", "min_bank=100", "--threads", "1", "--runtime", "onnxruntime"]
    assert run(["evaluate", str(woven), *options, "--seed", "3", "--json", str(first)]) == 0
    (card,) = read_cards([first])
    import shlex

    assert run([*shlex.split(card.command)[1:], "--json", str(second)]) == 0
    (again,) = read_cards([second])
    for volatile in ("fit_seconds", "ms_per_image", "peak_mb"):
        card, again = replace(card, **{volatile: None}), replace(again, **{volatile: None})
    assert card.to_json() == again.to_json()
    assert "AUROC" in capsys.readouterr().out


def test_a_saved_model_is_evaluated_as_it_is(task, woven, card, tmp_path, capsys):
    model = Inspector.fit_with(SETTINGS, task.train).save(tmp_path / "m.anomalens")
    out = tmp_path / "m.json"
    assert run(["evaluate", str(woven), "--model", str(model), "--json", str(out)]) == 0
    (found,) = read_cards([out])
    assert found.image_auroc == card.image_auroc and found.fit_seconds is None
    assert Inspector.load(model).calibration.threshold.value == found.threshold
    for choice in (["--detector", "knn"], ["--size", "32"], ["-p", "n_neighbors=3"], ["--policy", "max"]):
        capsys.readouterr()
        assert run(["evaluate", str(woven), "--model", str(model), *choice]) == 2
        assert f"{choice[0]} cannot change the saved model" in capsys.readouterr().err
    assert run(["compare", str(model)]) == 2
    told = capsys.readouterr().err
    assert "no result card" in told and "--model" in told and "delete" not in told and model.exists()


@pytest.mark.parametrize("text", ["", "[", '{"a": 1}', "[1]", '[{"dataset": "x"}]'])
def test_a_half_written_or_foreign_card_is_one_sentence(as_file, capsys, text):
    path = as_file(text)
    assert run(["compare", str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error and "Traceback" not in error


def test_numbers_that_are_not_finite_do_not_reach_the_file(card, tmp_path):
    write_cards(tmp_path / "c.json", [replace(card, image_auroc=float("nan"))])
    assert json.loads((tmp_path / "c.json").read_text())[0]["image_auroc"] is None


def test_a_real_set_of_several_categories(real_set):
    folder = real_set("paper_piped")
    (task,) = load_tasks(folder, category="bdp01_tl")
    found = evaluate_task(task, replace(SETTINGS, size=128))
    assert isinstance(found, ResultCard) and found.error is None
    assert found.image_auroc > 0.9 and found.pixel_auroc > 0.9


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a peak start anew")
def test_the_peak_of_memory_is_of_one_evaluation_and_not_of_what_was_before(task):
    ballast = [bytes(64) for _ in range(3_000_000)]  # some 300 MB of small objects, written to
    held = peak_mb()
    del ballast
    found = evaluate_task(task, SETTINGS)
    assert 50 < found.peak_mb < held - 100


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a peak start anew")
def test_the_figures_of_a_test_are_no_part_of_the_peak(task, monkeypatch):
    def greedy(*args):
        np.ones(50_000_000)  # 400 MB
        return pixel_part(*args)

    expected = evaluate_task(task, SETTINGS).peak_mb
    monkeypatch.setattr("anomalens.evaluation.evaluate.pixel_part", greedy)
    assert evaluate_task(task, SETTINGS).peak_mb < expected + 200


def test_padding_is_no_part_of_the_pixel_figures(tmp_path):
    images = [np.random.default_rng(i).integers(0, 255, (32, 64, 3), np.uint8) for i in range(4)]
    with pytest.warns(AnomalensWarning):
        inspector = Inspector.fit_with(replace(SETTINGS, preprocess="pad"), images)
    (finding,) = inspector.check(images[:1])
    assert finding.map.shape == (64, 64)
    assert visible_map(finding).shape == (32, 64)


def test_one_bad_mask_costs_that_mask_only(woven, tmp_path):
    root = tmp_path / "bad"
    shutil.copytree(woven, root)
    Image.new("L", (9, 9), 255).save(root / "ground_truth/patch/000_mask.png")
    (task,) = load_tasks(root)
    found = evaluate_task(task, SETTINGS)
    assert found.error is None and found.image_auroc is not None and found.pixel_auroc is not None
    assert any(note.startswith("A mask is left out:") for note in found.notes)


def test_a_model_that_learnt_from_test_images_is_told_on(task, woven):
    with pytest.warns(AnomalensWarning):
        model = Inspector.fit_with(SETTINGS, str(woven / "test/good"))
    found = evaluate_task(task, SETTINGS, model=model)
    assert any("has learnt from 8 of the 16 test images" in note for note in found.notes)
    assert found.settings["policy"] == str(model.calibration.policy)


def test_an_audit_is_on_the_card_the_page_and_its_twin(woven, tmp_path, capsys):
    out, report = tmp_path / "c.json", tmp_path / "r"
    asked = ["--detector", "patchcore", "--size", "64", "-p", "min_bank=100", "--runtime", "onnxruntime"]
    told = ["--audit", "--json", str(out), "--report", str(report)]
    assert run(["evaluate", str(woven), *asked, *told]) == 0
    assert "audit of" in capsys.readouterr().out
    (card,) = read_cards([out])
    p = np.sort([one.p_value for one in card.scores if one.label == "good"])
    assert card.audit["n"] == len(p)
    for rate in card.audit["rates"]:
        assert rate["count"] == (p <= rate["asked"]).sum() and rate["low"] <= rate["value"] <= rate["high"]
    page = (report / "report.html").read_text(encoding="utf-8")
    twin = (report / "report.md").read_text(encoding="utf-8")
    for text in (page, twin):
        assert "Audit of the p-values" in text and f"KS distance {card.audit['distance']:.3f}" in text
    assert "Distribution of p-values" in page

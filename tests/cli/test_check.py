"""`anomalens check`: verdicts, lines of JSON, exit codes, the page."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

KEYS = [
    "image", "page", "score", "p_value", "percentile", "anomalous", "verdict", "threshold", "calibration",
    "regions", "label", "confidence", "explanation", "notes", "error", "detector", "model",
]  # fmt: skip


def test_nothing_flagged_is_0(anomalens, model, normal):
    answer = anomalens("check", model, normal)
    assert answer.code == 0
    assert len(answer.lines) == 1
    assert answer.lines[0].startswith("ok ") and answer.lines[0].endswith(normal.as_posix())
    assert answer.err == "0 flagged, 1 not flagged, 0 unreadable of 1 image\n"


def test_something_flagged_is_1_and_says_where(anomalens, model, normal, broken):
    answer = anomalens("check", model, normal, broken)
    assert answer.code == 1
    assert [line.split()[0] for line in answer.lines] == ["ok", "REJECT"]
    assert "strongest [" in answer.lines[1]
    assert answer.err == "1 flagged, 1 not flagged, 0 unreadable of 2 images\n"


def test_something_unreadable_is_2_also_when_others_are_flagged(anomalens, model, normal, broken, tmp_path):
    bad = tmp_path / "bad.png"
    bad.touch()
    answer = anomalens("check", model, broken, bad, normal)
    assert answer.code == 2
    assert [line.split()[0] for line in answer.lines] == ["REJECT", "ERROR", "ok"]
    assert answer.err == "1 flagged, 1 not flagged, 1 unreadable of 3 images\n"


def test_a_line_of_json_has_the_stable_keys_in_order(anomalens, model, normal, broken):
    lines = [json.loads(line) for line in anomalens("check", model, normal, broken, "--json").lines]
    for found, path in zip(lines, (normal, broken), strict=True):
        assert list(found) == KEYS
        assert found["image"] == path.as_posix()
        assert found["error"] is None
        assert found["page"] is None and found["label"] is None and found["confidence"] is None
        assert found["detector"] == "auto"
        assert found["model"] == model.name
        assert 0 < found["p_value"] <= 1 and 0 <= found["percentile"] <= 100
        assert found["anomalous"] is (found["score"] > found["threshold"])
        assert found["calibration"]["n"] == 30 and found["calibration"]["calibrated"] is True
    ok, flagged = lines
    assert ok["regions"] == []
    assert flagged["regions"]
    assert "Flagged" in flagged["explanation"]
    with Image.open(broken) as image:
        width, height = image.size
    for region in flagged["regions"]:
        assert list(region) == ["box", "area", "peak"]
        x0, y0, x1, y1 = region["box"]
        assert all(isinstance(side, int) for side in region["box"])
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height


def test_a_bad_image_is_a_line_of_json_too(anomalens, model, normal, tmp_path):
    bad = tmp_path / "bad.png"
    bad.touch()
    answer = anomalens("check", model, bad, normal, "--json")
    assert answer.code == 2
    found, good = (json.loads(line) for line in answer.lines)
    assert list(found) == KEYS
    assert found["image"] == bad.as_posix()
    assert found["error"] == "the file is empty (0 bytes); copy or export it again."
    assert found["model"] == model.name
    unanswered = set(KEYS) - {"image", "error", "detector", "model", "regions", "notes"}
    assert all(found[key] is None for key in unanswered)
    assert found["regions"] == []
    assert good["error"] is None and good["score"] is not None


def test_a_missing_file_alone_is_a_line_of_json_too(anomalens, model, tmp_path):
    answer = anomalens("check", model, tmp_path / "gone.png", "--json")
    assert answer.code == 2
    found = json.loads(answer.out)
    assert found["image"] == (tmp_path / "gone.png").as_posix()
    assert found["error"] == "there is no such file; check the path."


def test_json_lines_are_all_that_standard_output_holds(anomalens, model, parts):
    answer = anomalens("check", model, parts / "test", "--json")
    assert len(answer.lines) == 4
    assert [json.loads(line)["image"] for line in answer.lines] == [
        "good/000.jpg", "good/001.jpg", "hole/000.jpg", "hole/001.jpg",
    ]  # fmt: skip


def test_a_folder_a_glob_a_manifest_and_files_give_the_same_scores(anomalens, model, parts, tmp_path):
    folder = parts / "test" / "hole"
    files = sorted(folder.iterdir())
    manifest = tmp_path / "new.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([path, "hole"] for path in files)
    scores = [
        [json.loads(line)["score"] for line in anomalens("check", model, *given, "--json").lines]
        for given in ([folder], [folder / "*.jpg"], [manifest], files, [folder / "00*.jpg", *files[:0]])
    ]
    assert len(scores[0]) == 2
    assert all(each == scores[0] for each in scores)


def test_folders_globs_manifests_and_files_can_be_mixed(anomalens, model, parts, broken, tmp_path):
    manifest = tmp_path / "new.csv"
    manifest.write_text(f"path\n{broken}\n")
    answer = anomalens("check", model, parts / "test" / "good", parts / "test" / "hole" / "*.jpg",
                       manifest, broken, "--json")  # fmt: skip
    images = [json.loads(line)["image"] for line in answer.lines]
    assert len(images) == len(set(images)) == 6
    assert images[0] == (parts / "test" / "good" / "000.jpg").as_posix()
    assert images[2] == (parts / "test" / "hole" / "000.jpg").as_posix()


def test_the_good_images_beside_a_folder_without_any_are_answered(anomalens, model, normal, tmp_path):
    answer = anomalens("check", model, tmp_path, normal)
    assert answer.code == 2
    assert answer.lines[0].startswith("ok ")
    assert f"error: {tmp_path} holds no image" in answer.err


@pytest.mark.parametrize("name", ["", "*.png", "missing.csv"])
def test_an_argument_that_names_no_image_at_all(anomalens, model, tmp_path, name):
    answer = anomalens("check", model, tmp_path / name if name else tmp_path)
    assert answer.code == 2
    assert answer.err.startswith("error: ") and str(tmp_path) in answer.err
    assert answer.err.count("\n") == 1


def test_files_that_are_no_images_are_counted(anomalens, model, normal, tmp_path):
    (tmp_path / "a.jpg").write_bytes(normal.read_bytes())
    (tmp_path / "notes.txt").write_text("x")
    answer = anomalens("check", model, tmp_path)
    assert answer.code == 0
    assert "note: 1 file passed over for not being images, e.g. notes.txt" in answer.err


def test_pages_of_a_tiff_are_numbered_from_1(anomalens, model, normal, broken, tmp_path):
    path = tmp_path / "pages.tif"
    with Image.open(normal) as one, Image.open(broken) as two:
        one.save(path, save_all=True, append_images=[two])
    answer = anomalens("check", model, path, "--json")
    lines = [json.loads(line) for line in answer.lines]
    assert [line["page"] for line in lines] == [1, 2]
    assert [line["anomalous"] for line in lines] == [False, True]
    assert answer.code == 1


def test_out_writes_a_page_overlays_and_the_findings(anomalens, model, normal, broken, tmp_path):
    report = tmp_path / "report"
    answer = anomalens("check", model, normal, broken, "--out", report)
    assert answer.code == 1
    assert answer.err.endswith(f"page: {report / 'index.html'}\n")
    assert [line.split()[0] for line in answer.lines] == ["REJECT"]  # the calm ones are on the page
    page = (report / "index.html").read_text(encoding="utf-8")
    assert broken.name in page and normal.name in page
    assert len(list((report / "overlays").iterdir())) == 2
    lines = (report / "findings.jsonl").read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [KEYS, KEYS]


def test_out_with_json_gives_both(anomalens, model, normal, tmp_path):
    answer = anomalens("check", model, normal, "--json", "--out", tmp_path / "report")
    assert list(json.loads(answer.out)) == KEYS
    assert (tmp_path / "report" / "index.html").is_file()


def test_out_replaces_the_former_report_and_leaves_other_files(anomalens, model, normal, broken, tmp_path):
    report = tmp_path / "report"
    anomalens("check", model, normal, broken, "--out", report)
    (report / "mine.txt").write_text("keep")
    anomalens("check", model, normal, "--out", report)
    assert len(list((report / "overlays").iterdir())) == 1
    assert (report / "mine.txt").read_text() == "keep"


def test_out_that_is_a_file_is_refused(anomalens, model, normal, tmp_path):
    (tmp_path / "taken").write_text("x")
    answer = anomalens("check", model, normal, "--out", tmp_path / "taken")
    assert answer.code == 2
    assert "taken" in answer.err


def test_workers_and_threads_do_not_change_the_answer(anomalens, model, parts):
    one = anomalens("check", model, parts / "test", "--json", "--workers", 1, "--threads", 1)
    four = anomalens("check", model, parts / "test", "--json", "--workers", 4, "--threads", 1)
    assert one.out == four.out


def test_another_process_gives_the_same_scores_bit_for_bit(anomalens, process, model, parts, tmp_path):
    here = anomalens("check", model, parts / "test", "--json")
    there = process("check", model, parts / "test", "--json").communicate(timeout=60)[0]
    assert there == here.out


def test_another_runtime_agrees_within_the_stated_tolerance(anomalens, model, parts):
    pytest.importorskip("openvino")
    texts = [
        anomalens("check", model, parts / "test", "--json", "--runtime", runtime).lines
        for runtime in ("onnxruntime", "openvino")
    ]
    one, two = (np.array([json.loads(line)["score"] for line in lines]) for lines in texts)
    np.testing.assert_allclose(two, one, rtol=1e-3)


def test_a_report_in_the_checked_folder_is_not_checked_itself(anomalens, model, normal, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(normal.parent, folder)
    first = anomalens("check", model, folder, "--out", folder / "report", "--json")
    second = anomalens("check", model, folder, "--out", folder / "report", "--json")
    assert len(first.out.splitlines()) == len(second.out.splitlines()) > 0


def test_why_is_said_of_the_images_that_are_asked_for(anomalens, parts, normal, broken, tmp_path):
    model = tmp_path / "knn.anomalens"
    answer = anomalens(
        "fit", parts, "--out", model, "--detector", "knn", "--size", 64, "--keep-thumbnails", 4
    )
    assert answer.code == 0
    assert answer.lines[1].startswith("holds 4 thumbnails of them, ")
    said = {}
    for which in ("none", "flagged", "all"):
        answer = anomalens("check", model, normal, broken, "--json", "--explain", which)
        assert answer.code == 1
        said[which] = ["Most similar" in json.loads(line)["explanation"] for line in answer.lines]
    assert said == {"none": [False, False], "flagged": [False, True], "all": [True, True]}
    default = anomalens("check", model, normal, broken, "--json")
    assert [json.loads(line)["explanation"].count(".jpg") for line in default.lines] == [0, 3]
    assert list(json.loads(default.lines[1])) == KEYS


@pytest.mark.parametrize(("budget", "flagged"), [("25%", 1), ("0.5", 2)])
def test_a_budget_flags_the_share_that_scores_highest(anomalens, model, parts, broken, budget, flagged):
    names = [*sorted((parts / "train" / "good").iterdir())[:3], broken]
    answer = anomalens("check", model, *names, "--budget", budget, "--json")
    found = [json.loads(line) for line in answer.lines]
    scores = sorted((one["score"] for one in found), reverse=True)
    assert sorted((one["score"] for one in found if one["anomalous"]), reverse=True) == scores[:flagged]
    assert sum(one["anomalous"] for one in found) == flagged
    assert f"The {flagged} highest of 4 scores are flagged" in answer.err
    plain = anomalens("check", model, *names, "--json")
    assert [json.loads(line)["p_value"] for line in plain.lines] == [one["p_value"] for one in found]


@pytest.mark.parametrize(
    ("budget", "words"), [("some", "is no share"), ("0", "give a share"), ("120%", "give a share")]
)
def test_a_budget_that_is_no_share_is_a_sentence(anomalens, model, broken, budget, words):
    answer = anomalens("check", model, broken, "--budget", budget)
    assert answer.code == 2 and words in answer.err

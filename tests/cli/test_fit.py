"""`anomalens fit`."""

from __future__ import annotations

import csv
import json
import zipfile

import numpy as np
import pytest

from anomalens import AnomalensWarning, ImageSet, InputError, Inspector

SMALL = ("--size", 32, "--runtime", "onnxruntime", "-p", "min_bank=50")


def card(model):
    with zipfile.ZipFile(model) as archive:
        return json.loads(archive.read("card.json"))


def test_it_says_what_it_learnt_what_to_expect_and_what_to_do_next(anomalens, parts, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", parts / "train" / "good", "--out", out, *SMALL,
                       "--false-alarm-rate", 0.1)  # fmt: skip
    assert answer.code == 0
    assert "learnt from 30 normal images" in answer.lines[0]
    assert "false-alarm-rate=0.1" in answer.lines[1] and "out-of-fold" in answer.lines[1]
    assert "a map of" in answer.lines[2]
    assert "expect to flag" in answer.lines[3] and "interval" in answer.lines[3]
    assert answer.lines[4].startswith(f"next: anomalens check {out}")
    assert [path.name for path in tmp_path.iterdir()] == ["m.anomalens"]


def test_of_a_dataset_only_the_normal_training_images_are_learnt(anomalens, parts, tmp_path):
    root, folder = tmp_path / "root.anomalens", tmp_path / "folder.anomalens"
    anomalens("fit", parts, "--out", root, *SMALL)
    anomalens("fit", parts / "train" / "good", "--out", folder, *SMALL)
    assert card(root)["data"] == card(folder)["data"]
    assert card(root)["data"]["n_images"] == 30


def test_of_several_datasets_only_the_normal_training_images_are_learnt(anomalens, parts, broken, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", parts, parts / "test" / "good", "--out", out, *SMALL)
    assert answer.code == 0, answer.err
    assert card(out)["data"]["n_images"] == 32


def test_of_a_folder_that_holds_datasets_it_asks_which(anomalens, parts, tmp_path):
    answer = anomalens("fit", parts.parent, "--out", tmp_path / "m.anomalens", *SMALL)
    assert answer.code == 2
    assert str(parts) in answer.err


def test_a_glob_and_several_files(anomalens, parts, tmp_path):
    out = tmp_path / "m.anomalens"
    anomalens("fit", parts / "train" / "good" / "00*.*", "--out", out, *SMALL)
    n = len(list((parts / "train" / "good").glob("00*.*")))
    assert card(out)["data"]["n_images"] == n
    files = sorted((parts / "train" / "good").iterdir())[:12]
    anomalens("fit", *files, "--out", out, *SMALL)
    assert card(out)["data"]["n_images"] == 12


def test_a_manifest_with_groups(anomalens, parts, tmp_path):
    manifest = tmp_path / "parts.csv"
    files = sorted((parts / "train" / "good").iterdir())[:12]
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "group"])
        writer.writerows([path, f"part-{i // 3}"] for i, path in enumerate(files))
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", manifest, "--out", out, *SMALL)
    assert answer.code == 0, answer.err
    assert "12 images form 4 groups" in answer.err
    assert card(out)["data"]["n_groups"] == 4


def test_an_existing_file_is_replaced_by_the_new_model(anomalens, parts, normal, tmp_path):
    out = tmp_path / "m.anomalens"
    out.write_bytes(b"an older thing")
    assert anomalens("fit", parts, "--out", out, *SMALL).code == 0
    assert anomalens("check", out, normal).code == 0


def test_a_failed_fit_leaves_an_existing_model_as_it_was(anomalens, parts, tmp_path):
    out = tmp_path / "m.anomalens"
    out.write_bytes(b"an older thing")
    answer = anomalens("fit", parts, "--out", out, *SMALL, "-p", "taps=nowhere")
    assert answer.code == 2
    assert out.read_bytes() == b"an older thing"
    assert [path.name for path in tmp_path.iterdir()] == ["m.anomalens"]


def test_the_same_seed_gives_the_same_file(anomalens, parts, tmp_path):
    one, two, three = (tmp_path / f"{name}.anomalens" for name in "abc")
    anomalens("fit", parts, "--out", one, *SMALL, "--seed", 1)
    anomalens("fit", parts, "--out", two, *SMALL, "--seed", 1)
    anomalens("fit", parts, "--out", three, *SMALL, "--seed", 2)
    assert one.read_bytes() == two.read_bytes()
    assert card(one)["calibration"] != card(three)["calibration"]


def test_augmentation_preprocessing_and_parameters_reach_the_model(anomalens, parts, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", parts, "--out", out, *SMALL, "--augment", "flip", "--copies", 2,
                       "--preprocess", "pad,grey", "-p", "coreset-ratio=0.05", "--seed", 7)  # fmt: skip
    assert answer.code == 0, answer.err
    found = card(out)
    assert found["augmentation"]["copies"] == 2
    assert found["seed"] == 7
    assert found["detector"]["settings"]["coreset_ratio"] == 0.05
    assert "grey" in json.dumps(found["preprocessing"])


def test_a_detector_of_another_package_is_used_like_ours(anomalens, third_party, parts, normal, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", parts, "--detector", "brightness", "-p", "power=2", "--size", 16,
                       "--out", out)  # fmt: skip
    assert answer.code == 0, answer.err
    found = json.loads(anomalens("check", out, normal, "--json").out)
    assert found["detector"] == "brightness"
    assert found["regions"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--detector", "patchcor"], "did you mean 'patchcore'?"),
        (["--backbone", "efficientnet-lite00"], "did you mean 'efficientnet-lite0'?"),
        (["-p", "coreset_ratoi=0.1"], "did you mean 'coreset_ratio'?"),
        (["-p", "coreset_ratio=3"], "from 1e-06 to 1"),
        (["-p", "coreset_ratio=many"], "needs a value like 0.01"),
        (["-p", "coreset_ratio"], "-p KEY=VALUE"),
        (["-p", "taps=stride9"], "stride8"),
        (["--preprocess", "stretchh"], "did you mean 'stretch'?"),
        (["--augment", "flp"], "did you mean 'flip'?"),
        (["--policy", "quantil=0.9"], "did you mean 'quantile'?"),
        (["--policy", "quantile=3"], "from 0.5 to 1"),
        (["--policy", "quantile=x"], "mean-sigma=3"),
        (["--policy", "f1"], "anomalens calibrate"),
        (["--false-alarm-rate", "0.9"], "to 0.5"),
        (["--false-alarm-rate", "0"], "to 0.5"),
        (["--false-alarm-rate", "nan"], "to 0.5"),
        (["--false-alarm-rate", "0.1", "--policy", "max"], "give one of them"),
        (["--size", "4"], "give 16 to 8192 pixels"),
        (["--size", "64by64"], "give a side in pixels (256), both (4000x3000), or native"),
        (["--size", "4096x4096"], "too large for one pass of auto; cut them into tiles"),
        (["--overlap", "8"], "without a tile"),
        (["--tile", "32", "--overlap", "20"], "at most half the tile, 16"),
        (["--tile", "5000"], "32<=x<=2048"),
        (["--tile", "32", "--detector", "knn"], "gives no maps"),
        (["--tile", "32", "--detector", "combine:auto,knn"], "itself made of detectors"),
        (["--copies", "0", "--augment", "flip"], "1<=x<=100"),
        (["--threads", "0"], "1<=x<=256"),
        (["--seed", "-1"], "0<=x<="),
        (["--runtime", "onxruntime"], "'onnxruntime'"),
        (["--precision", "float16"], "'float32'"),
    ],
)  # fmt: skip
def test_a_wrong_setting_says_what_would_be_right(anomalens, parts, tmp_path, options, said):
    answer = anomalens("fit", parts, "--out", tmp_path / "m.anomalens", "--size", 32, *options)
    assert answer.code == 2
    assert said in answer.err
    assert answer.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_out_that_does_not_exist_is_named_at_once(anomalens, parts, tmp_path):
    answer = anomalens("fit", parts, "--out", tmp_path / "no" / "m.anomalens")
    assert answer.code == 2
    assert answer.err == f"error: The folder {tmp_path / 'no'} of --out does not exist; make it first.\n"


def test_out_that_is_a_folder_is_refused(anomalens, parts, tmp_path):
    answer = anomalens("fit", parts, "--out", tmp_path)
    assert answer.code == 2
    assert str(tmp_path) in answer.err


def test_a_folder_without_images_says_what_was_looked_for(anomalens, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    answer = anomalens("fit", tmp_path, "--out", tmp_path / "m.anomalens")
    assert answer.code == 2
    assert answer.err.startswith(f"error: {tmp_path} holds no image: 1 other files")
    assert answer.err.count("\n") == 1


def test_a_path_that_does_not_exist(anomalens, tmp_path):
    answer = anomalens("fit", tmp_path / "nowhere", "--out", tmp_path / "m.anomalens")
    assert answer.code == 2
    assert answer.err == f"error: There is no file or folder {tmp_path / 'nowhere'}; check the path.\n"


def test_bad_images_are_counted_and_the_others_learnt(anomalens, parts, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((parts / "train" / "good").iterdir())[:12]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "zzz.png").touch()
    (folder / "notes.txt").write_text("x")
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", folder, "--out", out, *SMALL)
    assert answer.code == 0
    assert "warning: 1 of 13 images cannot be read and are left out; the first: zzz.png" in answer.err
    assert "notes.txt" in answer.err
    assert card(out)["data"]["n_images"] == 12


def test_images_of_which_none_can_be_read(anomalens, tmp_path):
    (tmp_path / "a.png").touch()
    answer = anomalens("fit", tmp_path, "--out", tmp_path / "m.anomalens")
    assert answer.code == 2
    assert "None of the 1 images" in answer.err and "0 bytes" in answer.err
    assert not (tmp_path / "m.anomalens").exists()


def test_one_image_is_enough_and_its_verdicts_are_marked_uncalibrated(anomalens, normal, broken, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", normal, "--out", out, *SMALL)
    assert answer.code == 0
    assert "uncalibrated" in answer.err
    assert "expect to flag" not in answer.out
    found = json.loads(anomalens("check", out, broken, "--json").out)
    assert found["calibration"]["calibrated"] is False
    assert "Uncalibrated" in found["explanation"]


def test_too_few_images_for_the_asked_rate_are_said_once_and_recorded(anomalens, parts, tmp_path):
    out = tmp_path / "m.anomalens"
    answer = anomalens("fit", parts, "--out", out, *SMALL, "--false-alarm-rate", 0.001)
    assert answer.code == 0
    assert answer.err.count("needs 999 normal images") == 1
    assert any("needs 999" in note for note in card(out)["notes"])


def test_arrays_with_nan_are_refused_with_a_sentence_by_the_python_interface(parts, model, normal):
    image = np.full((48, 48, 3), 0.5)
    image[3, 4, 1] = np.nan
    with pytest.raises(InputError, match=r"array-0000.*(NaN|finite)"):
        Inspector.fit([image], size=32, runtime="onnxruntime")
    good = ImageSet.open(normal).read(0).pixels
    findings = list(Inspector.load(model).check([image, good]))
    assert findings[0].image == "array-0000"
    assert "finite" in findings[0].error or "NaN" in findings[0].error
    assert findings[0].score is None
    assert findings[1].error is None and findings[1].score is not None


def test_few_images_warn_in_python_too(normal):
    with pytest.warns(AnomalensWarning, match="uncalibrated"):
        Inspector.fit([normal], size=32, runtime="onnxruntime", policy="max", parameters={"min_bank": 20})

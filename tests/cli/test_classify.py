"""`anomalens classify` and what `check` then says: real photographs of brick, grass and gravel."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anomalens as package
from anomalens.errors import AnomalensWarning, InputError

KINDS = ("brick", "grass", "gravel")


def tiles(name: str, n: int, *, start: int = 0) -> list[Image.Image]:
    """Tiles of 64 px of a photograph that scikit-image carries; none shares a pixel with another."""
    data = pytest.importorskip("skimage.data")
    whole = Image.open(Path(data.__file__).parent / f"{name}.png").convert("RGB")
    places = [(x, y) for y in range(0, 449, 64) for x in range(0, 449, 64)]
    return [whole.crop((x, y, x + 64, y + 64)) for x, y in places[start : start + n]]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """train/<class> and test/<class> of three textures, and `strange`, of another."""
    root = tmp_path_factory.mktemp("kinds")
    for name in KINDS:
        for part, start, n in (("train", 0, 20), ("test", 40, 8)):
            folder = root / "data" / part / name
            folder.mkdir(parents=True)
            for i, tile in enumerate(tiles(name, n, start=start)):
                tile.save(folder / f"{i:02d}.png")
    (root / "strange").mkdir()
    for i, tile in enumerate(tiles("ihc", 10)):
        tile.save(root / "strange" / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def model(kinds):
    from anomalens.cli.main import run

    file = kinds / "kinds.anomalens"
    assert run(["classify", "fit", str(kinds / "data"), "--out", str(file)]) == 0
    return file


def test_check_says_the_class_the_confidence_or_that_it_is_none(anomalens, kinds, model):
    known = anomalens("check", model, kinds / "data" / "test" / "grass")
    assert "grass, " in known.lines[0] and "% sure" in known.lines[0]
    strange = anomalens("check", model, kinds / "strange")
    assert strange.code == 1
    assert all("none of the known classes (nearest: " in line for line in strange.lines)
    finding = json.loads(anomalens("check", model, kinds / "strange" / "00.png", "--json").out)
    assert finding["label"] in KINDS and 0 < finding["confidence"] <= 1 and finding["anomalous"]
    assert finding["explanation"].startswith("none of the known classes")


def test_evaluate_writes_the_card_and_the_page(anomalens, kinds, model, tmp_path):
    card_file, page = tmp_path / "card.json", tmp_path / "page"
    answer = anomalens(
        "classify", "evaluate", model, "--data", kinds / "data", "--ood", kinds / "strange",
        "--score", "vim", "--score", "msp", "--json", card_file, "--report", page,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    card = json.loads(card_file.read_text())
    assert card["accuracy"] >= 0.9 and len(card["per_class"]) == 3
    assert sum(map(sum, card["confusion"])) == 24
    assert {"macro_f1", "calibration_error"} <= card.keys()
    first = card["ood"][0]
    assert first["score"] == "vim" and first["auroc"] > 0.95 and first["recall"] > 0.5
    assert {"aupr_in", "aupr_out", "fpr95", "precision", "f1"} <= first.keys()
    assert [row["score"] for row in card["ood"]] == ["vim", "msp"]
    assert (page / "report.html").is_file()


def test_another_score_needs_no_other_fit_and_gives_the_same_class(kinds, model):
    classifier = package.Classifier.load(model)
    image = kinds / "data" / "test" / "brick" / "00.png"
    (ours,), (theirs,) = (list(c.check(image)) for c in (classifier, classifier.with_score("energy")))
    assert ours.label == theirs.label and ours.confidence == theirs.confidence
    assert ours.score != theirs.score and theirs.threshold != ours.threshold
    with pytest.raises(InputError, match="energy"):
        classifier.with_score("enrgy")


def test_python_twin_saves_and_loads_and_the_inspector_reads_it_too(kinds, tmp_path):
    with pytest.warns(AnomalensWarning, match="needs 19"):  # a fifth of 60 tiles is held out
        classifier = package.Classifier.fit(kinds / "data", head="mlp", hidden=32)
    file = classifier.save(tmp_path / "mlp.anomalens")
    images = kinds / "data" / "test" / "gravel"
    before = [(f.label, f.confidence, f.score) for f in classifier.check(images)]
    again = [(f.label, f.confidence, f.score) for f in package.Inspector.load(file).check(images)]
    assert before == again
    assert classifier.classes == KINDS
    assert np.mean([label == "gravel" for label, _, _ in before]) > 0.7


def test_classes_left_out_at_fit_are_strangers_at_test(anomalens, kinds, tmp_path):
    file = tmp_path / "two.anomalens"
    fitted = anomalens("classify", "fit", kinds / "data", "--leave-out", "gravel", "--out", file)
    assert fitted.code == 0, fitted.err
    answer = anomalens("classify", "evaluate", file, "--data", kinds / "data")
    assert "other classes" in answer.out
    assert "8 images of 1 classes that the model does not know (gravel) count as strangers" in answer.err


def test_what_was_learnt_from_is_not_tested_with(anomalens, kinds, tmp_path):
    """Class folders without a split: the same folder tests with the quarter that was left."""
    file, data = tmp_path / "m.anomalens", kinds / "data" / "train"
    assert anomalens("classify", "fit", data, "--out", file).code == 0
    answer = anomalens("classify", "evaluate", file, "--data", data)
    assert "of 15 of known ones" in answer.out
    assert "45 images that the model learnt from are left out" in answer.err


def manifest(kinds: Path, name: str, **columns: list[str]) -> Path:
    """A CSV of the training tiles, twelve of each class, with these columns."""
    file = kinds / name
    paths = [f"data/train/{kind}/{i:02d}.png" for kind in KINDS for i in range(12)]
    with file.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["path", *columns])
        writer.writerows(zip(paths, *columns.values(), strict=True))
    return file


def test_several_label_columns_give_a_model_each(anomalens, kinds, tmp_path):
    kind = [name for name in KINDS for _ in range(12)]
    file = manifest(kinds, "two.csv", kind=kind, hard=["no" if k == "grass" else "yes" for k in kind])
    answer = anomalens(
        "classify", "fit", file, "--label", "kind", "--label", "hard", "--out", tmp_path / "m.anomalens"
    )
    assert answer.code == 0, answer.err
    assert package.Classifier.load(tmp_path / "m-kind.anomalens").classes == KINDS
    assert package.Classifier.load(tmp_path / "m-hard.anomalens").classes == ("no", "yes")


def test_other_sizes_and_channels_are_answered(model):
    classifier = package.Classifier.load(model)
    (tile,) = tiles("brick", 1, start=60)
    grey, large = np.asarray(tile.convert("L")), np.asarray(tile.resize((200, 120)))
    alpha = np.dstack([np.asarray(tile), np.full((64, 64), 255, np.uint8)])
    found = list(classifier.check([grey, large, alpha]))
    assert [f.error for f in found] == [None] * 3
    assert found[0].label == "brick"


def refused(anomalens, *arguments) -> str:
    answer = anomalens("classify", *arguments)
    assert answer.code == 2 and answer.out == ""
    (line,) = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    return line


def test_one_class_only_is_refused(anomalens, kinds, tmp_path):
    out = tmp_path / "m"
    file = manifest(kinds, "one.csv", kind=["brick"] * 36)
    assert "are of one class, 'brick'" in refused(anomalens, "fit", file, "--label", "kind", "--out", out)
    told = refused(
        anomalens, "fit", kinds / "data", "--leave-out", "brick", "--leave-out", "grass", "--out", out
    )
    assert "are of one class, 'gravel', and a classifier needs two" in told


def test_a_class_with_one_image_is_refused(anomalens, kinds, tmp_path):
    file = manifest(kinds, "alone.csv", kind=["a"] * 35 + ["b"], split=["train"] * 36)
    told = refused(anomalens, "fit", file, "--label", "kind", "--out", tmp_path / "m")
    assert "The class 'b' has one image, and at least two are needed" in told
    unsplit = manifest(kinds, "unsplit.csv", kind=["a"] * 35 + ["b"])
    told = refused(anomalens, "fit", unsplit, "--label", "kind", "--out", tmp_path / "m")
    assert "has 1 image(s) of the class 'b'" in told


def test_missing_labels_are_refused(anomalens, kinds, tmp_path):
    file = manifest(kinds, "bare.csv", kind=["a"] * 20 + [""] * 4 + ["b"] * 12)
    told = refused(anomalens, "fit", file, "--label", "kind", "--out", tmp_path / "m")
    assert "4 of 36 lines" in told and "say nothing in the column 'kind'" in told
    told = refused(anomalens, "fit", file, "--label", "knd", "--out", tmp_path / "m")
    assert "has no column 'knd'; it has path, kind" in told
    answer = anomalens("fit", kinds / "strange", "--detector", "classifier", "--out", tmp_path / "m")
    assert answer.code == 2 and "10 of 10 images have no class" in answer.err


def test_a_column_of_measurements_is_refused_and_one_of_class_numbers_is_not(anomalens, kinds, tmp_path):
    ages = manifest(kinds, "ages.csv", age=[f"{20 + i}" for i in range(36)])
    told = refused(anomalens, "fit", ages, "--label", "age", "--out", tmp_path / "m")
    assert "holds 36 different numbers, which are measurements and no classes" in told
    weights = manifest(kinds, "weights.csv", kg=[f"{i % 4 + 0.5}" for i in range(36)])
    assert "measurements" in refused(anomalens, "fit", weights, "--label", "kg", "--out", tmp_path / "m")
    numbers = manifest(kinds, "numbers.csv", kind=[str(i // 12) for i in range(36)])
    out = tmp_path / "n.anomalens"
    assert anomalens("classify", "fit", numbers, "--label", "kind", "--out", out).code == 0
    assert package.Classifier.load(out).classes == ("0", "1", "2")


def test_unknown_classes_only_are_refused_at_test_time(anomalens, kinds, model):
    file = manifest(kinds, "others.csv", kind=["tar", "sand"] * 18)
    told = refused(anomalens, "evaluate", model, "--data", file, "--label", "kind")
    assert "of a class the model knows (brick, grass, gravel)" in told


def test_wrong_names_and_files_are_refused(anomalens, kinds, model, tmp_path):
    out = tmp_path / "m"
    assert "'linear'" in refused(anomalens, "fit", kinds / "data", "--head", "linar", "--out", out)
    assert "no-such" in refused(anomalens, "fit", kinds / "data", "--train", "no-such", "--out", out)
    assert "emotions" in refused(anomalens, "fit", kinds / "data", "--preset", "emotion", "--out", out)
    told = refused(anomalens, "evaluate", model, "--data", kinds / "data", "--score", "vimm")
    assert "'vim'" in told
    assert "is no CSV" in refused(anomalens, "fit", kinds / "data", "--label", "x", "--out", out)


def test_unreadable_images_are_counted(anomalens, kinds, model, tmp_path):
    for name in KINDS:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for i, tile in enumerate(tiles(name, 4, start=30)):
            tile.save(folder / f"{i}.png")
    (tmp_path / "data" / "brick" / "0.png").write_bytes(b"no picture")
    answer = anomalens("classify", "evaluate", model, "--data", tmp_path / "data")
    assert answer.code == 0, answer.err
    assert "1 images of" in answer.err and "cannot be answered" in answer.err
    assert "of 11 of known ones" in answer.out

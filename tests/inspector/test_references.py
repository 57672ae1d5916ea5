"""Images with references of their own, through the inspector."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import ImageSet, Inspector
from anomalens.detectors.checks import painted
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.inspector.training_set import TrainingSet


def boards(count: int, seed: int) -> list[np.ndarray]:
    """uint8 [72, 96, 3] each: tracks that differ from board to board, so that none is another's template."""
    found = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        small = Image.fromarray(np.asarray(rng.integers(0, 256, (9, 12, 3)), np.uint8))
        found.append(np.asarray(small.resize((96, 72), Image.Resampling.BICUBIC)))
    return found


def photographed(board: np.ndarray, seed: int) -> np.ndarray:
    """The same board with noise, a pixel aside and darker."""
    noise = np.random.default_rng(seed).normal(0, 2, board.shape)
    return np.clip(np.roll(board, 1, axis=1) * 0.9 + noise, 0, 255).astype(np.uint8)


def written(folder: Path, images: list[np.ndarray], ending: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02d}{ending}.png")
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """normal and templates, twelve pairs; new and its templates, six, of which the last two are defective."""
    root = tmp_path_factory.mktemp("pairs")
    learnt, new = boards(12, 0), boards(6, 1)
    written(root / "templates", learnt)
    written(root / "normal", [photographed(board, i) for i, board in enumerate(learnt)])
    written(root / "new-templates", new, "_temp")
    seen = [photographed(board, 50 + i) for i, board in enumerate(new)]
    written(root / "new", [*seen[:4], *(painted(image)[0] for image in seen[4:])], "_test")
    return root


OPTIONS: dict[str, Any] = {
    "size": 96, "runtime": "onnxruntime", "threads": 1, "policy": "false-alarm-rate=0.1"
}  # fmt: skip


@pytest.fixture(scope="module")
def model(pairs: Path) -> Inspector:
    return Inspector.fit(pairs / "normal", references=pairs / "templates", **OPTIONS)


def test_each_image_is_judged_by_its_own_template(model, pairs, tmp_path):
    assert model.detector.name == "template" and model.calibration.calibrated
    findings = list(model.check(pairs / "new", references=pairs / "new-templates"))
    scores = [finding.score for finding in findings]
    assert min(scores[4:]) > 2 * max(scores[:4])
    assert [finding.anomalous for finding in findings[4:]] == [True, True] and findings[4].regions
    again = Inspector.load(model.save(tmp_path / "m.anomalens"))
    repeated = again.check(pairs / "new", references=pairs / "new-templates")
    assert [finding.score for finding in repeated] == scores
    # in order, from memory, and one by one
    lists = [
        [np.asarray(Image.open(p)) for p in sorted((pairs / d).iterdir())] for d in ("new", "new-templates")
    ]
    assert [f.score for f in model.check(lists[0], references=lists[1])] == scores
    assert next(model.check([lists[0][5]], references=[lists[1][5]])).score == scores[5]


def test_missing_references_are_said_in_one_sentence(model, pairs):
    with pytest.raises(SettingError, match="compares each image with its own reference, and none was given"):
        model.check(pairs / "new")
    with pytest.raises(SettingError, match="with its own reference"):
        model.calibrate("max", pairs / "new")


def test_a_bad_reference_costs_its_image_only(model, pairs, tmp_path):
    templates = shutil.copytree(pairs / "new-templates", tmp_path / "templates")
    (templates / "01_temp.png").write_bytes(b"no picture")
    (templates / "02_temp.png").unlink()
    Image.new("RGB", (96, 50)).save(templates / "03_temp.png")
    findings = list(model.check(pairs / "new", references=templates))
    errors = [finding.error for finding in findings]
    assert [error is None for error in errors] == [True, False, False, False, True, True]
    assert "its reference 01_temp.png cannot be used: " in errors[1]
    assert "it has no reference of its name" in errors[2]
    assert "it has 96 x 72 pixels and its reference 03_temp.png 96 x 50; give" in errors[3]
    whole = [f.score for f in model.check(pairs / "new", references=pairs / "new-templates")]
    assert [findings[i].score for i in (0, 4, 5)] == [whole[i] for i in (0, 4, 5)]


def test_pairs_that_cannot_be_used_are_left_out_of_the_fit(pairs, tmp_path):
    templates = shutil.copytree(pairs / "templates", tmp_path / "templates")
    (templates / "03.png").write_bytes(b"no picture")
    (templates / "04.png").unlink()
    with pytest.warns(
        AnomalensWarning, match="2 of 12 images cannot be read and are left out; the first: 03"
    ):
        model = Inspector.fit(pairs / "normal", references=templates, **OPTIONS)
    assert model.card["data"]["n_images"] == 10


def test_templates_alone_give_an_uncalibrated_model(pairs):
    with pytest.warns(AnomalensWarning, match="verdicts are uncalibrated; add normal pictures"):
        model = Inspector.fit(pairs / "templates", detector="template", **OPTIONS)
    assert not model.calibration.calibrated and "pairs were made" in model.detector.notes[0]
    findings = list(model.check(pairs / "new", references=pairs / "new-templates"))
    assert all(finding.anomalous for finding in findings[4:])
    assert "Uncalibrated" in findings[0].explanation
    better = model.calibrate("max", pairs / "normal", references=pairs / "templates")
    assert better.calibration.method == "held-out"
    assert any("uncalibrated" in note for note in model.card["notes"])
    assert not any("uncalibrated" in note for note in better.card["notes"])
    assert not any(f.anomalous for f in better.check(pairs / "normal", references=pairs / "templates"))


def test_pairs_of_one_picture_twice_calibrate_nothing(pairs, model, tmp_path):
    copies = shutil.copytree(pairs / "templates", tmp_path / "copies")
    with pytest.warns(AnomalensWarning, match="verdicts are uncalibrated"):
        alone = Inspector.fit(copies, references=pairs / "templates", **OPTIONS)
    assert not alone.calibration.calibrated
    for number in range(4):  # some pictures of real products, and templates that stand for the others
        shutil.copy(pairs / "normal" / f"0{number}.png", copies)
    with pytest.warns(AnomalensWarning, match="there are 4"):
        mixed = Inspector.fit(copies, references=pairs / "templates", **OPTIONS)
    assert mixed.calibration.calibrated and len(mixed.calibration.scores) == 4
    assert "8 of 12 images equal their reference" in mixed.detector.notes[0]
    fresh = pairs / "new-templates"
    again = shutil.copytree(fresh, tmp_path / "again")
    with (
        pytest.warns(AnomalensWarning, match="6 of 6 calibration images equal their own reference"),
        pytest.raises(SettingError, match="differs from its reference"),
    ):
        model.calibrate("max", again, references=fresh)


def test_a_model_file_does_not_say_where_pictures_were(pairs, tmp_path):
    private = shutil.copytree(pairs / "normal", tmp_path / "private")
    (private / "00.png").write_bytes(b"no picture")
    given = [path.absolute() for path in sorted(private.iterdir())]
    with pytest.warns(AnomalensWarning, match="private/00.png"):
        model = Inspector.fit(given, references=pairs / "templates", **OPTIONS)
    assert any("the first: 00.png: " in note for note in model.card["notes"])
    assert str(tmp_path).encode() not in model.save(tmp_path / "model.anomalens").read_bytes()


def test_one_template_alone_is_enough(pairs):
    options = {**OPTIONS, "policy": "max"}
    with pytest.warns(AnomalensWarning, match="form 1 independent group"):
        model = Inspector.fit([pairs / "templates" / "00.png"], detector="template", **options)
    normal = next(model.check(pairs / "normal" / "00.png", references=pairs / "templates" / "00.png"))
    other = next(model.check(pairs / "normal" / "01.png", references=pairs / "templates" / "00.png"))
    assert other.anomalous and other.score > 2 * normal.score


def test_detectors_that_use_no_references_say_so(pairs):
    with pytest.warns(AnomalensWarning, match="gaussian does not use references; use --detector template"):
        model = Inspector.fit(
            pairs / "normal", references=pairs / "templates", detector="gaussian", **OPTIONS
        )
    with pytest.warns(AnomalensWarning, match="does not use references; they are ignored"):
        assert len(list(model.check(pairs / "new", references=pairs / "new-templates"))) == 6


def test_augmented_copies_keep_their_references(pairs):
    from anomalens.images.augment import Augmentation
    from anomalens.images.preprocess import Preprocessing

    images = ImageSet.open(pairs / "normal").with_references(pairs / "normal" / "00.png")
    preparation = Preprocessing.parse("stretch", width=96, height=72)
    flips = Augmentation.parse("flip=both,rotate=20")
    for kept in (True, False):
        training = TrainingSet.collect(images, preparation, augmentation=flips, copies=2, paired=True)
        if not kept:
            object.__setattr__(training, "cache", None)  # as with more images than the memory holds
        assert training.references is not None
        both = list(zip(training, training.references, strict=True))
        assert len(both) == 36
        for image, reference in both[:3]:  # the first image is its own reference: both change alike
            assert np.array_equal(image, reference)

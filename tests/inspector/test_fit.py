"""What `fit` learns from, what it calibrates on, and what it warns about."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import AnomalensWarning, Augmentation, ImageSet, Inspector, Preprocessing
from anomalens.errors import ImageSetError, InputError, SettingError


def warned(fit: Any) -> tuple[Inspector, str]:
    """Call `fit` and collect what it warns of; other warnings than ours are errors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inspector = fit()
    assert all(item.category is AnomalensWarning for item in caught)
    return inspector, "\n".join(str(item.message) for item in caught)


def test_it_calibrates_on_every_image_left_out(inspector: Inspector) -> None:
    calibration = inspector.calibration
    assert calibration.method == "out-of-fold"
    assert calibration.calibrated
    assert (len(calibration.scores), calibration.n_groups) == (24, 24)
    assert inspector.card["notes"] == []


def test_out_of_fold_scores_are_higher_than_those_of_learnt_images(
    inspector: Inspector, normal: np.ndarray
) -> None:
    learnt = [finding.score for finding in inspector.check(normal)]
    assert np.median(inspector.calibration.scores) > np.median(np.array(learnt, float))


@pytest.mark.filterwarnings("ignore:Copies were turned:anomalens.errors.AnomalensWarning")
@pytest.mark.parametrize("augment", [None, "flip,rotate=10"])
def test_the_same_images_and_seed_give_the_same_file(
    augment: str | None, normal: np.ndarray, tmp_path: Path, fast: dict[str, Any]
) -> None:
    files = [
        Inspector.fit(normal[:12], augment=augment, copies=1, **fast).save(tmp_path / name)
        for name in ("one.anomalens", "two.anomalens")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    other = Inspector.fit(normal[:12], augment=augment, copies=1, seed=1, **fast)
    assert other.save(tmp_path / "three.anomalens").read_bytes() != files[0].read_bytes()


def test_fewer_than_three_groups_are_uncalibrated_and_say_so(
    normal: np.ndarray, fresh: np.ndarray, defects: np.ndarray, fast: dict[str, Any]
) -> None:
    options = {**fast, "policy": "max"}
    inspector, text = warned(lambda: Inspector.fit(normal[:2], **options))
    assert "2 normal images form 2 independent groups, and calibration needs 3" in text
    assert (inspector.calibration.method, inspector.calibration.n_groups) == ("augmented", 2)
    assert not inspector.calibration.calibrated
    (finding,) = inspector.check(defects[:1])
    assert finding.anomalous
    assert "Uncalibrated" in str(finding.explanation)
    assert finding.calibration is not None
    assert finding.calibration["calibrated"] is False
    assert any("uncalibrated" in note for note in inspector.card["notes"])


def test_very_few_images_warn(normal: np.ndarray, fast: dict[str, Any]) -> None:
    _, text = warned(lambda: Inspector.fit(normal[:9], **fast))
    assert "9 normal images are very few" in text
    _, text = warned(lambda: Inspector.fit(normal[:10], **fast))
    assert text == ""


def test_a_rate_that_the_images_do_not_support_is_stated_everywhere(
    normal: np.ndarray, defects: np.ndarray, fast: dict[str, Any]
) -> None:
    options = {**fast, "policy": "false-alarm-rate=0.01"}
    inspector, text = warned(lambda: Inspector.fit(normal, **options))
    assert "rate of 0.01 needs 99 normal images for calibration and there are 24" in text
    assert inspector.card["notes"] == text.splitlines()
    assert inspector.calibration.p_value(inspector.calibration.threshold.value) == pytest.approx(0.01)
    (finding,) = inspector.check(defects[:1])
    assert finding.calibration is not None
    assert finding.calibration["rate"] == 0.01
    assert finding.calibration["supported"] is False
    assert finding.calibration["note"] in text


def test_copies_are_grouped_and_warned_about(normal: np.ndarray, fast: dict[str, Any]) -> None:
    images = np.concatenate([normal[:12], normal[:4]])
    inspector, text = warned(lambda: Inspector.fit(images, **fast))
    assert "16 images form 12 groups" in text
    assert inspector.calibration.n_groups == 12
    assert inspector.card["data"]["n_images"] == 16


def test_a_copy_does_not_make_an_odd_image_look_normal(
    normal: np.ndarray, defects: np.ndarray, fast: dict[str, Any]
) -> None:
    images = np.concatenate([normal[:12], defects[:1], defects[:1]])
    inspector, _ = warned(lambda: Inspector.fit(images, **fast))
    scores = inspector.calibration.scores
    assert scores[-2] > 1.5 * scores[-3]  # both copies score as if neither had been there


def test_an_odd_size_warns(normal: np.ndarray, fast: dict[str, Any]) -> None:
    images = [*normal[:12], normal[12][:60, :60]]
    _, text = warned(lambda: Inspector.fit(images, **fast))
    assert "1 of 13 images have another size than the rest, for example array-0012" in text


def test_unreadable_images_are_counted_and_left_out(
    normal: np.ndarray, tmp_path: Path, fast: dict[str, Any]
) -> None:
    for i, image in enumerate(normal[:12]):
        Image.fromarray(image).save(tmp_path / f"good {i}.png")
    (tmp_path / "torn.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("x")
    inspector, text = warned(lambda: Inspector.fit(tmp_path, **fast))
    assert "1 of 13 images cannot be read and are left out; the first: torn.png" in text
    assert "notes.txt" in text
    assert inspector.card["data"]["n_images"] == 12
    assert inspector.card["data"]["n_unreadable"] == 1


def test_a_name_that_is_no_utf8_does_not_stop_saving(
    normal: np.ndarray, tmp_path: Path, fast: dict[str, Any]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(normal[:12]):
        Image.fromarray(image).save(folder / f"{i}.png")
    try:
        (folder / b"torn\xff.png".decode("utf-8", "surrogateescape")).write_bytes(b"no image")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    inspector, _ = warned(lambda: Inspector.fit(folder, **fast))
    saved = inspector.save(tmp_path / "model.anomalens")
    assert Inspector.load(saved).card["notes"] == inspector.card["notes"]


def test_nothing_readable_is_refused(tmp_path: Path, fast: dict[str, Any]) -> None:
    (tmp_path / "torn.png").write_bytes(b"no image")
    with pytest.raises(ImageSetError, match="None of the 1 images"):
        Inspector.fit(tmp_path, **fast)


@pytest.mark.filterwarnings("ignore:Copies were turned:anomalens.errors.AnomalensWarning")
def test_augmented_copies_are_learnt_from_and_not_calibrated_on(
    normal: np.ndarray, fast: dict[str, Any]
) -> None:
    fast = {**fast, "detector": "patchcore"}  # whose scores are distances, comparable between fits
    plain = Inspector.fit(normal[:12], **fast)
    augmented = Inspector.fit(normal[:12], augment=Augmentation(rotate=10), copies=2, **fast)
    assert len(augmented.calibration.scores) == 12
    assert augmented.calibration.n_groups == 12
    assert augmented.card["augmentation"]["copies"] == 2
    # an image's own copies leave with it: they would halve its out-of-fold score
    ratio = np.median(augmented.calibration.scores) / np.median(plain.calibration.scores)
    assert 0.75 < ratio < 1.25


def test_declared_groups_leave_together(normal: np.ndarray, fast: dict[str, Any]) -> None:
    images = ImageSet.from_arrays(normal[:12], groups=[f"part {i // 3}" for i in range(12)])
    inspector, text = warned(lambda: Inspector.fit(images, **fast))
    assert "12 images form 4 groups" in text
    assert (inspector.calibration.n_groups, len(inspector.calibration.scores)) == (4, 12)


@pytest.mark.parametrize("policy", ["f1", "youden"])
def test_policies_that_need_labels_are_refused(policy: str, normal: np.ndarray, fast: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"needs labelled anomalies.*anomalens calibrate"):
        Inspector.fit(normal, **{**fast, "policy": policy})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"detector": "patchcor"}, "patchcore"),
        ({"parameters": {"min_bnk": 3}}, "min_bank"),
        ({"parameters": {"min_bank": "many"}}, "min_bank"),
        ({"parameters": {"sigma": None}}, "sigma"),
        ({"parameters": {"min_bank": 20, "max_bank": 10}}, "min_bank"),
        ({"parameters": {"backbone": "efficientnet-lite9"}}, "backbone"),
        ({"policy": "mximum"}, "policy"),
        ({"size": 0}, "0"),
        ({"preprocess": "strech"}, "stretch"),
        ({"runtime": "tensorflow"}, "runtime"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_options_are_refused_by_name(
    wrong: dict[str, Any], words: str, normal: np.ndarray, fast: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=words):
        Inspector.fit(normal[:4], **{**fast, **wrong})


def test_a_small_memory_budget_still_finds_the_defect(
    normal: np.ndarray, defects: np.ndarray, fresh: np.ndarray, fast: dict[str, Any]
) -> None:
    """At 256 px the patches of 24 images need 22 MB, and the budget is 16."""
    options = {
        **fast,
        "size": 256,
        "parameters": {"min_bank": 300, "max_bank": 300, "memory_mb": 16},
    }
    inspector = Inspector.fit(normal, **options)
    assert all(finding.anomalous for finding in inspector.check(defects[:4]))
    assert sum(bool(finding.anomalous) for finding in inspector.check(fresh)) <= 6
    assert len(inspector.calibration.scores) == 24


def images_as(kind: str, pixels: np.ndarray) -> Any:
    values = pixels.astype(np.float64) / 255
    return {
        "uint8": pixels,
        "uint16": np.rint(values * 65535).astype(np.uint16),
        "float64": values,
        "float32": values.astype(np.float32),
        "list": list(pixels),
        "grey": pixels[..., 0],
    }[kind]


@pytest.mark.parametrize("kind", ["uint16", "float64", "float32", "list", "grey"])
def test_arrays_of_every_kind_go_from_end_to_end(
    kind: str,
    normal: np.ndarray,
    fresh: np.ndarray,
    defects: np.ndarray,
    fast: dict[str, Any],
    inspector: Inspector,
) -> None:
    fitted = Inspector.fit(images_as(kind, normal), **fast)
    normal_findings = list(fitted.check(images_as(kind, fresh[:6])))
    odd = list(fitted.check(images_as(kind, defects[:6])))
    assert all(finding.anomalous and finding.regions for finding in odd)
    assert max(f.score or 0 for f in normal_findings) < min(f.score or 0 for f in odd)
    if kind != "grey":
        expected = [finding.score for finding in inspector.check(fresh[:6])]
        found = [finding.score for finding in inspector.check(images_as(kind, fresh[:6]))]
        # 8-bit pictures are rounded once more; the scores are powers of ten of a share of twelve pictures
        assert found == pytest.approx(expected, rel=0.02, abs=0.15)


def test_the_share_of_normal_images_with_a_region_is_at_most_the_flagged_one(
    transistors: Inspector,
) -> None:
    calibration = transistors.calibration
    assert calibration.map_maxima is not None
    level = calibration.region_threshold
    assert level is not None
    shown = np.sum(calibration.map_maxima > level)
    flagged = np.sum(calibration.scores > calibration.threshold.value)
    assert 0 < shown <= 0.1 * len(calibration.scores)
    assert 0 < flagged <= 0.1 * len(calibration.scores)


def test_preprocessing_is_taken_as_text_or_as_an_object(normal: np.ndarray, fast: dict[str, Any]) -> None:
    made = Preprocessing.parse("pad,grey", width=64, height=64)
    one = Inspector.fit(normal[:10], preprocess=made, **fast)
    two = Inspector.fit(normal[:10], preprocess="pad,grey", **fast)
    np.testing.assert_array_equal(one.calibration.scores, two.calibration.scores)
    assert one.preprocessing == two.preprocessing


@pytest.mark.parametrize("augment", ["rotate=15", "scale=0.1", "flip,crop=0.1"])
def test_who_adds_poses_is_told_that_the_threshold_knows_none_of_them(
    normal: np.ndarray, fast: dict[str, Any], augment: str
) -> None:
    inspector, text = warned(lambda: Inspector.fit(normal, augment=augment, copies=1, **fast))
    assert "turned, scaled or cropped" in text and "uncalibrated" in text
    (finding,) = inspector.check(normal[:1])
    assert finding.calibration is not None and not finding.calibration["calibrated"]
    assert "Uncalibrated" in str(finding.explanation)
    flipped, text = warned(lambda: Inspector.fit(normal, augment="flip,brightness", copies=1, **fast))
    assert flipped.calibration.calibrated and "uncalibrated" not in text


@pytest.mark.parametrize("detector", ["gaussian", "knn", "pca", "iforest"])
def test_models_of_two_pictures_calibrate_no_model_of_three(normal: np.ndarray, detector: str) -> None:
    for n, calibrated in ((3, False), (4, False), (12, True)):
        inspector, text = warned(lambda n=n: Inspector.fit(normal[:n], detector=detector, size=64))
        assert inspector.calibration.calibrated == calibrated
        assert ("uncalibrated" in text) != calibrated

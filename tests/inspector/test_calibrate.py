"""Other thresholds and other calibration images, without fitting again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens import AnomalensWarning, ImageSet, Inspector
from anomalens.datasets import load_tasks
from anomalens.errors import InputError, SettingError


def test_another_policy_changes_the_threshold_alone(inspector: Inspector, fresh: np.ndarray) -> None:
    other = inspector.calibrate("quantile=0.5")
    assert other.calibration.threshold.value == np.median(inspector.calibration.scores)
    assert other.calibration.method == "out-of-fold"
    assert [f.score for f in other.check(fresh)] == [f.score for f in inspector.check(fresh)]
    assert sum(bool(f.anomalous) for f in other.check(fresh)) > sum(
        bool(f.anomalous) for f in inspector.check(fresh)
    )


def test_an_unsupported_rate_warns(inspector: Inspector) -> None:
    with pytest.warns(AnomalensWarning, match="rate of 0.001 needs 999"):
        inspector.calibrate("false-alarm-rate=0.001")


def test_held_out_images_calibrate(inspector: Inspector, fresh: np.ndarray) -> None:
    other = inspector.calibrate("false-alarm-rate=0.2", fresh)
    assert other.calibration.method == "held-out"
    assert other.calibration.n_groups == 12
    expected = sorted(float(f.score or 0) for f in inspector.check(fresh))
    assert other.calibration.scores.tolist() == expected
    assert 1 <= sum(bool(f.anomalous) for f in other.check(fresh)) <= 3  # 0.2 of 12
    assert other.calibration.map_maxima is not None


def test_images_that_the_model_learnt_from_are_left_out(
    inspector: Inspector, normal: np.ndarray, fresh: np.ndarray, tmp_path: Path
) -> None:
    loaded = Inspector.load(inspector.save(tmp_path / "model.anomalens"), threads=1)
    with pytest.warns(AnomalensWarning, match="3 of 15 calibration images are among those"):
        other = loaded.calibrate("max", np.concatenate([normal[:3], fresh]))
    assert len(other.calibration.scores) == 12


def test_known_images_alone_calibrate_nothing(inspector: Inspector, normal: np.ndarray) -> None:
    with (
        pytest.warns(AnomalensWarning, match="5 of 5 calibration images"),
        pytest.raises(SettingError, match="model has not seen"),
    ):
        inspector.calibrate("max", normal[:5])


def test_unreadable_calibration_images_are_counted(
    inspector: Inspector, fresh: np.ndarray, tmp_path: Path
) -> None:
    for i, image in enumerate(fresh):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    with pytest.warns(AnomalensWarning, match="1 of 13 calibration images cannot be read"):
        other = inspector.calibrate("max", tmp_path)
    assert len(other.calibration.scores) == 12


def test_a_labelled_manifest_chooses_the_best_split(
    inspector: Inspector, fresh: np.ndarray, defects: np.ndarray, tmp_path: Path
) -> None:
    rows = ["path,label"]
    for kind, images in (("good", fresh), ("square", defects[:5])):
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{kind}{i}.png")
            rows.append(f"{kind}{i}.png,{kind}")
    (tmp_path / "labelled.csv").write_text("\n".join(rows) + "\n")
    other = inspector.calibrate("f1", tmp_path / "labelled.csv")
    assert len(other.calibration.scores) == 12
    assert not any(f.anomalous for f in other.check(fresh))
    assert all(f.anomalous for f in other.check(defects))
    # anomalies of a manifest never count as normal
    rate = inspector.calibrate("max", tmp_path / "labelled.csv")
    np.testing.assert_array_equal(rate.calibration.scores, other.calibration.scores)


def test_declared_groups_of_held_out_images_are_counted(inspector: Inspector, fresh: np.ndarray) -> None:
    images = ImageSet.from_arrays(fresh, groups=[f"part {i // 4}" for i in range(12)])
    assert inspector.calibrate("max", images).calibration.n_groups == 3


@pytest.mark.parametrize("policy", ["f1", "youden"])
def test_policies_that_need_labels_say_so(policy: str, inspector: Inspector, fresh: np.ndarray) -> None:
    for images in (None, fresh):
        with pytest.raises(SettingError, match="needs labelled anomalies"):
            inspector.calibrate(policy, images)


def test_an_unknown_policy_or_place_is_refused(inspector: Inspector, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="policy"):
        inspector.calibrate("guess")
    with pytest.raises(InputError, match="nowhere"):
        inspector.calibrate("max", tmp_path / "nowhere")


def test_the_new_threshold_is_saved(inspector: Inspector, fresh: np.ndarray, tmp_path: Path) -> None:
    other = inspector.calibrate("false-alarm-rate=0.25", fresh)
    loaded = Inspector.load(other.save(tmp_path / "model.anomalens"), threads=1)
    assert loaded.calibration.to_json() == other.calibration.to_json()


def darker(images: np.ndarray) -> np.ndarray:
    return (images * 0.6 + 10).astype(np.uint8)


def test_a_few_pictures_of_another_day_mend_the_threshold(
    inspector: Inspector, fresh: np.ndarray, defects: np.ndarray
) -> None:
    today = darker(fresh)
    before = [finding.anomalous for finding in inspector.check(today)]
    other = inspector.calibrate(inspector.calibration.policy, today, add=True)
    assert any("do not score like those of before" in note for note in other.card["notes"])
    assert len(other.calibration.scores) == len(today)
    assert sum(finding.anomalous or 0 for finding in other.check(today)) < sum(before)


def test_pictures_of_the_same_day_count_beside_the_former_ones(
    inspector: Inspector, fresh: np.ndarray
) -> None:
    other = inspector.calibrate("false-alarm-rate=0.2", fresh, add=True)
    assert any("the threshold rests on all" in note for note in other.card["notes"])
    assert len(other.calibration.scores) == len(inspector.calibration.scores) + len(fresh)
    assert other.calibration.n_groups == inspector.calibration.n_groups + len(fresh)


def test_nothing_is_added_to_nothing(inspector: Inspector, fresh: np.ndarray) -> None:
    with pytest.raises(SettingError, match="nothing to add"):
        inspector.calibrate("max", add=True)
    with pytest.raises(SettingError, match="needs labels"):
        inspector.calibrate("f1", fresh, add=True)


@pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
def test_twenty_new_screws_bring_the_rate_back(real_set: Callable[[str], Path]) -> None:
    """The good screws of the test part score otherwise than those that were learnt from."""
    task = load_tasks(real_set("ball_screw_pitting"))[0]
    good = [i for i, entry in enumerate(task.test) if entry.verdict == "normal"]
    new, held = good[::2][:20], [i for i in good if i not in set(good[::2][:20])]
    inspector = Inspector.fit(task.train, detector="patchcore", size=128, threads=2, runtime="onnxruntime")
    flagged = [finding.anomalous for finding in inspector.check(task.test.subset(held))]
    other = inspector.calibrate(inspector.calibration.policy, task.test.subset(new), add=True)
    mended = [finding.anomalous for finding in other.check(task.test.subset(held))]
    assert np.mean(mended) < np.mean(flagged)
    assert sum(mended) <= 6  # of 32 at an asked rate of 0.05: inside its exact interval

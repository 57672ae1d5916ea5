"""One file, made in one process and asked in another, on this runtime or another."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anomalens
from anomalens import AnomalensWarning, Inspector
from anomalens.backbones.machine import available
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.errors import InputError
from anomalens.inspector.golden import COUNT, TOLERANCE, golden_image

needs_openvino = pytest.mark.skipif("openvino" not in available(), reason="needs openvino")

ASK = """
import json, sys
import numpy as np
from anomalens import Inspector
inspector = Inspector.load(sys.argv[1], threads=1)
findings = list(inspector.check(np.load(sys.argv[2])))
maps = [float(finding.map.sum(dtype=np.float64)).hex() for finding in findings]
print(json.dumps([[finding.score.hex() for finding in findings], maps]))
"""


@pytest.fixture(scope="session")
def saved(inspector: Inspector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inspector.save(tmp_path_factory.mktemp("saved") / "model.anomalens")


def scores(inspector: Inspector, images: np.ndarray) -> list[float]:
    return [float(finding.score or 0) for finding in inspector.check(images)]


def edited(saved: Path, to: Path, **changes: Any) -> Path:
    bundle = read_bundle(saved)
    write_bundle(to, Bundle({**bundle.card, **changes}, bundle.arrays, bundle.graphs))
    return to


def doctored_golden(saved: Path) -> dict[str, Any]:
    golden: dict[str, Any] = read_bundle(saved).card["golden"]
    return {**golden, "scores": [1.5 * score for score in golden["scores"]]}


def other_version(saved: Path) -> dict[str, Any]:
    found = read_bundle(saved).card["calibrated_on"]
    return {**found, "versions": {**found["versions"], "onnxruntime": "0.0.1"}}


@pytest.mark.parametrize("runtime", available())
def test_scores_are_the_same_bits_in_another_process(
    runtime: str, normal: np.ndarray, fresh: np.ndarray, tmp_path: Path, fast: dict[str, Any]
) -> None:
    fitted = Inspector.fit(normal[:12], **{**fast, "runtime": runtime})
    model = fitted.save(tmp_path / "model.anomalens")
    np.save(tmp_path / "images.npy", fresh)
    source = str(Path(anomalens.__file__).parents[1])
    answer = subprocess.run(
        [sys.executable, "-c", ASK, str(model), str(tmp_path / "images.npy")],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    found, maps = json.loads(answer.stdout)
    here = list(fitted.check(fresh))
    assert found == [float(finding.score or 0).hex() for finding in here]
    assert maps == [float(f.map.sum(dtype=np.float64)).hex() for f in here if f.map is not None]


def test_everything_else_is_the_same_after_loading(
    inspector: Inspector, saved: Path, defects: np.ndarray, tmp_path: Path
) -> None:
    loaded = Inspector.load(saved, threads=1)
    assert loaded.calibration.to_json() == inspector.calibration.to_json()
    assert loaded.preprocessing == inspector.preprocessing
    assert loaded.runtime == inspector.runtime
    assert loaded.name == "model.anomalens"
    (before,) = inspector.check(defects[:1])
    (after,) = loaded.check(defects[:1])
    assert {**after.to_json(), "model": "unsaved"} == before.to_json()
    assert loaded.save(tmp_path / "again.anomalens").read_bytes() == saved.read_bytes()


@needs_openvino
def test_another_runtime_agrees_within_the_stated_tolerance(
    saved: Path, fresh: np.ndarray, defects: np.ndarray
) -> None:
    here = Inspector.load(saved, threads=1)
    there = Inspector.load(saved, runtime="openvino", threads=1)
    assert there.runtime.name == "openvino"
    for images in (fresh, defects):
        np.testing.assert_allclose(scores(there, images), scores(here, images), rtol=TOLERANCE["float32"])


@needs_openvino
def test_a_runtime_that_drifts_is_replaced_by_the_recorded_one_with_a_warning(
    saved: Path, fresh: np.ndarray, tmp_path: Path
) -> None:
    model = edited(saved, tmp_path / "m.anomalens", golden=doctored_golden(saved))
    with pytest.warns(AnomalensWarning, match=r"openvino in float32 moves the golden scores by 0\.33"):
        loaded = Inspector.load(model, runtime="openvino", threads=1)
    assert loaded.runtime.name == "onnxruntime"
    assert scores(loaded, fresh) == scores(Inspector.load(saved, threads=1), fresh)


def test_an_8_bit_network_is_compared_also_on_the_recorded_runtime(
    normal: np.ndarray, tmp_path: Path, fast: dict[str, Any]
) -> None:
    backbone = {**fast["parameters"], "backbone": "efficientnet-lite0:int8"}
    fitted = Inspector.fit(normal[:12], **{**fast, "parameters": backbone})
    rounded = fitted.save(tmp_path / "rounded.anomalens")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Inspector.load(rounded, threads=1)
    moved = edited(rounded, tmp_path / "m.anomalens", golden=doctored_golden(rounded))
    with pytest.warns(AnomalensWarning, match="No runtime here reproduces the golden scores"):
        Inspector.load(moved, threads=1)


def test_the_recorded_runtime_is_trusted_without_scoring_anything(saved: Path, tmp_path: Path) -> None:
    model = edited(saved, tmp_path / "m.anomalens", golden=doctored_golden(saved))
    assert Inspector.load(model).runtime.name == "onnxruntime"


def test_a_newer_runtime_that_agrees_is_taken_silently(saved: Path, tmp_path: Path) -> None:
    model = edited(saved, tmp_path / "m.anomalens", calibrated_on=other_version(saved))
    assert Inspector.load(model, threads=1).runtime.name == "onnxruntime"


def test_where_no_runtime_agrees_the_user_is_told_to_calibrate(saved: Path, tmp_path: Path) -> None:
    model = edited(
        saved,
        tmp_path / "m.anomalens",
        calibrated_on=other_version(saved),
        golden=doctored_golden(saved),
    )
    with pytest.warns(AnomalensWarning, match="the threshold may not hold; run  anomalens calibrate"):
        Inspector.load(model, threads=1)


def test_a_golden_score_that_is_no_number_is_a_drift(saved: Path, tmp_path: Path) -> None:
    golden = {**doctored_golden(saved), "scores": [1e-30, 1e-30]}
    model = edited(saved, tmp_path / "m.anomalens", calibrated_on=other_version(saved), golden=golden)
    with pytest.warns(AnomalensWarning, match="No runtime here reproduces"):
        Inspector.load(model, threads=1)


def test_golden_images_never_change() -> None:
    """Model files hold scores of exactly these."""
    images = [golden_image((40, 56), number) for number in range(COUNT)]
    assert [(image.shape, image.dtype) for image in images] == [((40, 56, 3), np.uint8)] * 2
    assert [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images] == [
        "651c550531d97d4f",
        "e54d92857c65696a",
    ]


@pytest.mark.parametrize("name", ["none/model.anomalens", "file/model.anomalens"])
def test_a_place_that_cannot_be_written_is_one_sentence(
    name: str, inspector: Inspector, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        inspector.save(tmp_path / name)


def test_saving_leaves_nothing_but_the_model(inspector: Inspector, tmp_path: Path) -> None:
    for _ in range(2):
        inspector.save(tmp_path / "model.anomalens")
    assert [path.name for path in tmp_path.iterdir()] == ["model.anomalens"]


def test_a_folder_in_its_place_is_left_alone(inspector: Inspector, tmp_path: Path) -> None:
    (tmp_path / "model.anomalens").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        inspector.save(tmp_path / "model.anomalens")
    assert [path.name for path in tmp_path.iterdir()] == ["model.anomalens"]


def test_unknown_runtimes_are_refused_at_load(saved: Path) -> None:
    with pytest.raises(InputError, match="runtime"):
        Inspector.load(saved, runtime="tensorflow")

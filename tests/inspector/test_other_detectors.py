"""A detector that another package announces: cross-fitted, and answered when it misbehaves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from anomalens import Inspector, detector_names
from anomalens.errors import SettingError

MODULE = '''
import numpy as np
from anomalens.detectors import Batch, Detector, Scores, State
from anomalens.detectors.contract import Settings

FITTED_ON = []  # how many images each fit saw

class Contrast(Detector):
    """Distance of an image's contrast from the mean contrast; leaves calibration to the caller."""
    name, family, pixel_level, settings_type = "contrast", "density", False, Settings

    def fit(self, images, job):
        FITTED_ON.append(len(images))
        self.mean_ = float(np.mean([image.std() for image in images]))

    def score(self, batch):
        values = [abs(float(image.std()) - self.mean_) for image in batch.images]
        flat = [value if image.any() else np.nan for value, image in zip(values, batch.images)]
        return Scores(np.array(flat))

    def state(self):
        return State({"mean": self.mean_})

    @classmethod
    def from_state(cls, state, *, size, runtime):
        detector = cls()
        detector.mean_ = float(state.numbers["mean"])
        return detector

class NoDetector:
    pass
'''
ENTRIES = """[anomalens.detectors]
contrast = contrast_detector:Contrast
none = contrast_detector:NoDetector
broken = contrast_detector:Missing
"""


@pytest.fixture()
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that announces detectors."""
    (tmp_path / "contrast_detector.py").write_text(MODULE)
    info = tmp_path / "contrast_detector-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: contrast-detector\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("contrast_detector", None)


def test_it_is_listed_behind_ours(package: Path) -> None:
    names = detector_names()
    assert names[0] == "auto"
    assert names[-3:] == ["broken", "contrast", "none"]


def test_it_is_cross_fitted_with_whole_groups_left_out(package: Path, normal: np.ndarray) -> None:
    inspector = Inspector.fit(normal[:20], detector="contrast", size=32, policy="false-alarm-rate=0.1")
    fits = sys.modules["contrast_detector"].FITTED_ON
    assert fits == [20, 16, 16, 16, 16, 16]
    assert inspector.calibration.method == "out-of-fold"
    assert len(inspector.calibration.scores) == 20
    assert inspector.calibration.map_maxima is None


def test_copies_are_cross_fitted_with_their_images(package: Path, normal: np.ndarray) -> None:
    inspector = Inspector.fit(
        normal[:20], detector="contrast", size=32, policy="max", augment="flip", copies=2
    )
    assert sys.modules["contrast_detector"].FITTED_ON == [60, 48, 48, 48, 48, 48]
    assert len(inspector.calibration.scores) == 20


def test_it_is_saved_and_loaded_and_answers(package: Path, normal: np.ndarray, fresh: np.ndarray) -> None:
    fitted = Inspector.fit(normal[:20], detector="contrast", size=32, policy="max")
    loaded = Inspector.load(fitted.save(package / "model.anomalens"))
    images = np.concatenate([fresh[:2], 255 * (fresh[:1] > 128).astype(np.uint8)])
    findings = list(loaded.check(images))
    assert [f.score for f in findings] == [f.score for f in fitted.check(images)]
    assert findings[2].anomalous
    assert (findings[2].map, findings[2].regions) == (None, ())


def test_a_score_that_is_no_number_is_an_error_and_no_quiet_pass(
    package: Path, normal: np.ndarray, fresh: np.ndarray
) -> None:
    inspector = Inspector.fit(normal[:20], detector="contrast", size=32, policy="max")
    findings = list(inspector.check([fresh[0], np.zeros((40, 40), np.uint8), fresh[1]]))
    assert [finding.error is None for finding in findings] == [True, False, True]
    assert "no finite number" in str(findings[1].error)
    assert (findings[1].anomalous, findings[1].score) == (None, None)


def test_detectors_that_do_not_load_are_refused(package: Path, normal: np.ndarray) -> None:
    with pytest.raises(SettingError, match="'broken' from contrast_detector:Missing failed"):
        Inspector.fit(normal, detector="broken", size=32)
    with pytest.raises(SettingError, match="NoDetector is no anomalens"):
        Inspector.fit(normal, detector="none", size=32)

"""Why an image scores as it does: what adds to the score, similar normal images, and their thumbnails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.errors import ModelFileError, SettingError
from anomalens.inspector.finding import shares
from anomalens.inspector.thumbnails import ARRAY, decoded

QUICK: dict[str, Any] = {"size": 64, "policy": "false-alarm-rate=0.1", "threads": 1}


@pytest.fixture(scope="module")
def knn(normal: np.ndarray) -> Inspector:
    return Inspector.fit(normal, detector="knn", keep_thumbnails=10, **QUICK)


def test_reasons_are_given_for_the_images_that_are_asked_for(
    knn: Inspector, fresh: np.ndarray, defects: np.ndarray
) -> None:
    images = np.stack([fresh[0], defects[0]])
    assert [f.reasons for f in knn.check(images)] == [None, None]
    calm, odd = knn.check(images, explain="flagged")
    assert (calm.anomalous, calm.reasons) == (False, None)
    assert odd.reasons is not None and odd.reasons.nearest and odd.reasons.parts
    assert all(finding.reasons is not None for finding in knn.check(images, explain="all"))


def test_they_are_told_in_words(knn: Inspector, defects: np.ndarray) -> None:
    (plain,) = knn.check(defects[:1])
    (finding,) = knn.check(defects[:1], explain="flagged")
    assert finding.score == plain.score
    assert finding.reasons is not None
    first, share = shares(finding.reasons)[0]
    assert 0 < share <= 1
    words = str(finding.explanation).removeprefix(str(plain.explanation))
    assert words.startswith(f" Adds most to the score: {first.name} {100 * share:.0f} %")
    assert words.endswith(", ".join(near.image for near in finding.reasons.nearest) + ".")
    assert "reasons" not in finding.to_json()


def test_a_normal_image_is_its_own_nearest(knn: Inspector, normal: np.ndarray) -> None:
    (finding,) = knn.check(normal[5:6], explain="all")
    assert finding.reasons is not None
    assert finding.reasons.nearest[0].image == "array-0005"
    assert finding.reasons.nearest[0].distance == pytest.approx(0, abs=1e-3)


def test_a_detector_that_knows_no_reasons_gives_none(normal: np.ndarray, defects: np.ndarray) -> None:
    inspector = Inspector.fit(normal, detector="patchcore", parameters={"min_bank": 150}, **QUICK)
    (finding,) = inspector.check(defects[:1], explain="all")
    assert finding.reasons is None
    assert "Adds most" not in str(finding.explanation)


def test_shares_are_of_what_adds() -> None:
    from anomalens.detectors.contract import Part, Reasons

    found = shares(Reasons((Part("a", 3.0), Part("b", 1.0), Part("c", -9.0))))
    assert [(part.name, share) for part, share in found] == [("a", 0.75), ("b", 0.25)]
    assert shares(Reasons((Part("a", -1.0),))) == []


def test_where_pictures_lie_on_the_makers_disk_stays_there(normal: np.ndarray, tmp_path: Path) -> None:
    paths = []
    for index, image in enumerate(normal):
        place = tmp_path / "secret" / "ab"[index % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
        paths.append(place)
    fitted = Inspector.fit(paths, detector="knn", keep_thumbnails=3, **QUICK)
    model = fitted.save(tmp_path / "model.anomalens")
    assert b"secret" not in model.read_bytes()
    (finding,) = fitted.check(paths[4:5], explain="all")
    assert finding.reasons is not None
    assert finding.reasons.nearest[0].image == "a/4.png"


def test_thumbnails_are_kept_only_where_asked_and_come_back(
    knn: Inspector, normal: np.ndarray, tmp_path: Path
) -> None:
    assert len(knn.thumbnails) == 10
    loaded = Inspector.load(knn.save(tmp_path / "model.anomalens"))
    assert loaded.thumbnails == knn.thumbnails
    for name, data in loaded.thumbnails.items():
        picture = decoded(data)
        assert picture is not None and picture.size == (96, 64)
        original = Image.fromarray(normal[int(name.removeprefix("array-"))]).resize(picture.size)
        difference = np.abs(np.asarray(picture, float) - np.asarray(original, float)).mean()
        assert difference < 12
    without = Inspector.fit(normal, detector="knn", **QUICK)
    bundle = read_bundle(without.save(tmp_path / "without.anomalens"))
    assert without.thumbnails == {}
    assert "thumbnails" not in bundle.card and ARRAY not in bundle.arrays


def test_no_more_thumbnails_than_a_file_may_hold(normal: np.ndarray) -> None:
    with pytest.raises(SettingError, match="keeps 0 to 2000 thumbnails, not 2001"):
        Inspector.fit(normal, detector="knn", keep_thumbnails=2001, **QUICK)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": ["a"], "bytes": [5]},
        {"ids": ["a"], "bytes": [-1]},
        {"ids": [1], "bytes": [5]},
        {"ids": ["a"] * 10, "bytes": [10**9] * 10},
        {"ids": ["a"]},
        {},
    ],
)
def test_a_damaged_list_of_thumbnails_is_refused(
    change: dict[str, Any], knn: Inspector, tmp_path: Path
) -> None:
    path = knn.save(tmp_path / "model.anomalens")
    bundle = read_bundle(path)
    write_bundle(path, Bundle({**bundle.card, "thumbnails": change}, bundle.arrays, bundle.graphs))
    with pytest.raises(ModelFileError):
        Inspector.load(path)


def test_a_thumbnail_that_is_no_small_jpeg_is_not_shown(tmp_path: Path) -> None:
    Image.new("RGB", (500, 500)).save(tmp_path / "large.jpg")
    Image.new("RGB", (50, 50)).save(tmp_path / "small.png")
    assert decoded(b"\xff\xd8 no picture") is None
    assert decoded((tmp_path / "large.jpg").read_bytes()) is None
    assert decoded((tmp_path / "small.png").read_bytes()) is None

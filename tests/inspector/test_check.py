"""What `check` answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import Finding, ImageSet, Inspector
from anomalens.errors import InputError
from anomalens.images import Affine, labelled_images, recognise

KEYS = [
    "image", "page", "score", "p_value", "percentile", "anomalous", "verdict", "threshold", "calibration",
    "regions", "label", "confidence", "explanation", "notes", "error", "detector", "model",
]  # fmt: skip


def overlap(box: tuple[int, int, int, int], mask: np.ndarray) -> int:
    x0, y0, x1, y1 = box
    return int(np.count_nonzero(mask[y0:y1, x0:x1]))


def test_defects_are_flagged_and_normal_images_mostly_not(
    inspector: Inspector, fresh: np.ndarray, defects: np.ndarray
) -> None:
    assert all(finding.anomalous for finding in inspector.check(defects))
    assert sum(bool(finding.anomalous) for finding in inspector.check(fresh)) <= 4


def test_the_finding_agrees_with_its_calibration(
    inspector: Inspector, fresh: np.ndarray, defects: np.ndarray
) -> None:
    for finding in inspector.check(np.concatenate([fresh, defects])):
        score = finding.score
        assert score is not None
        normal = inspector.calibration.scores
        assert finding.p_value == inspector.calibration.p_value(score)
        assert finding.p_value == pytest.approx((1 + np.sum(normal >= score)) / (len(normal) + 1), abs=0.15)
        assert finding.percentile == pytest.approx(100 * np.mean(normal < score))
        assert finding.threshold == inspector.calibration.threshold.value
        assert finding.anomalous == (score > finding.threshold) == (finding.p_value <= 0.1)
        assert finding.map is not None
        assert finding.map.shape == (64, 64)
        assert finding.original_size == (120, 80)


def test_only_flagged_findings_list_regions(
    inspector: Inspector, fresh: np.ndarray, defects: np.ndarray
) -> None:
    findings = list(inspector.check(np.concatenate([fresh, defects])))
    assert {finding.anomalous for finding in findings} == {True, False}
    assert all(bool(finding.regions) == finding.anomalous for finding in findings)


def test_the_keys_of_its_json_are_the_stable_ones(
    inspector: Inspector, defects: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    (good,) = inspector.check(defects[:1])
    (bad,) = inspector.check(tmp_path / "bad.png")
    assert list(good.to_json()) == list(bad.to_json()) == KEYS
    written = json.loads(json.dumps(good.to_json(), allow_nan=False))
    assert written["image"] == "array-0000"
    assert written["detector"] == "auto"
    assert set(written["regions"][0]) == {"box", "area", "peak"}
    assert all(isinstance(edge, int) for edge in written["regions"][0]["box"])
    answered = {key for key, value in bad.to_json().items() if value not in (None, [])}
    assert answered == {"image", "error", "detector", "model"}


def test_an_unreadable_image_does_not_cost_the_others_their_answers(
    inspector: Inspector, fresh: np.ndarray, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, fresh, strict=False):
        Image.fromarray(image).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    paths.insert(2, tmp_path / "missing.png")
    findings = list(inspector.check(paths))
    assert [finding.error is None for finding in findings] == [True, False, False, True, True]
    assert [finding.image for finding in findings] == [path.as_posix() for path in paths]
    expected = [finding.score for finding in inspector.check(fresh[[0, 2, 3]])]
    assert [finding.score for finding in findings if finding.error is None] == expected


@pytest.mark.parametrize(
    "bad",
    [np.full((40, 40), np.nan), np.full((40, 40), 7.0), np.zeros((40, 40, 5), np.uint8)],
    ids=["nan", "out of range", "five channels"],
)
def test_arrays_that_are_no_images_are_findings_with_an_error(
    bad: np.ndarray, inspector: Inspector, fresh: np.ndarray
) -> None:
    findings = list(inspector.check([fresh[0], bad, fresh[1]]))
    assert [finding.error is None for finding in findings] == [True, False, True]


def test_a_score_does_not_depend_on_the_other_images(inspector: Inspector, fresh: np.ndarray) -> None:
    together = [finding.score for finding in inspector.check(fresh)]
    backwards = [finding.score for finding in inspector.check(fresh[::-1])][::-1]
    alone = [next(iter(inspector.check(image[None]))).score for image in fresh]
    assert together == backwards == alone


def test_pages_of_a_tiff_are_answered_one_by_one(
    inspector: Inspector, fresh: np.ndarray, tmp_path: Path
) -> None:
    pages = [Image.fromarray(image) for image in fresh[:3]]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    findings = list(inspector.check(tmp_path / "stack.tif"))
    assert [finding.page for finding in findings] == [1, 2, 3]
    assert [f.score for f in findings] == [f.score for f in inspector.check(fresh[:3])]


@pytest.mark.parametrize("mode", ["stretch", "pad"])
@pytest.mark.parametrize("shape", [(80, 200), (200, 80)])
def test_a_painted_square_is_found_where_it_is(
    mode: str,
    shape: tuple[int, int],
    fast: dict[str, Any],
    cloudy: Callable[[int, tuple[int, int], int], np.ndarray],
) -> None:
    """Boxes are in pixels of the original image, also where it is not square."""
    images = cloudy(16, shape, 3)
    options = {**fast, "size": 128, "parameters": {"min_bank": 400, "sigma": 1.0}}
    inspector = Inspector.fit(images[:12], preprocess=mode, **options)
    for place, image in enumerate(images[12:].copy()):
        top = (8, shape[0] - 40)[place % 2]
        left = (8, shape[1] - 40)[place // 2]
        mask = np.zeros(shape, bool)
        mask[top : top + 32, left : left + 32] = True
        image[mask] = (255, 0, 40)
        (finding,) = inspector.check(image[None])
        assert finding.anomalous
        assert finding.map is not None
        assert finding.map_to_original is not None
        y, x = np.unravel_index(finding.map.argmax(), finding.map.shape)
        peak = finding.map_to_original.point(x + 0.5, y + 0.5)
        assert left - 8 < peak[0] < left + 40
        assert top - 8 < peak[1] < top + 40
        x0, y0, x1, y1 = finding.regions[0].box
        assert x0 <= peak[0] <= x1
        assert y0 <= peak[1] <= y1
        assert overlap(finding.regions[0].box, mask) > 0.5 * mask.sum()
        assert 0 <= x0 < x1 <= shape[1]
        assert 0 <= y0 < y1 <= shape[0]
        assert (x1 - x0) * (y1 - y0) < 0.9 * mask.size


def test_regions_overlap_the_masks_of_real_defects(
    transistors: Inspector, real_set: Callable[[str], Path]
) -> None:
    images = labelled_images(recognise(real_set("mvtec_transistor")))
    masked = [i for i in range(len(images)) if images[i].mask is not None]
    images = images.subset(masked)
    assert len(images) >= 20
    flagged = hit = 0
    for entry, finding in zip(images, transistors.check(images), strict=True):
        assert finding.error is None
        if not finding.anomalous:
            assert finding.regions == ()
            continue
        flagged += 1
        with Image.open(str(entry.mask)) as file:
            mask = np.asarray(file.convert("L")) > 0
        assert finding.original_size == (mask.shape[1], mask.shape[0])
        hit += any(overlap(region.box, mask) for region in finding.regions)
        assert all(
            0 <= r.box[0] < r.box[2] <= mask.shape[1] and 0 <= r.box[1] < r.box[3] <= mask.shape[0]
            for r in finding.regions
        )
    assert flagged > 0.6 * len(images)
    assert hit > 0.9 * flagged


def test_real_good_images_are_flagged_about_as_often_as_asked(
    transistors: Inspector, real_set: Callable[[str], Path]
) -> None:
    unseen = sorted((real_set("mvtec_transistor") / "train" / "good").iterdir())[80:140]
    flagged = sum(bool(f.anomalous) for f in transistors.check(ImageSet.open(unseen)))
    assert flagged <= 9  # binomial with 60 and 0.05: more has a chance of 0.2 %


def test_the_map_lies_over_the_original(inspector: Inspector, defects: np.ndarray) -> None:
    (finding,) = inspector.check(defects[:1])
    assert finding.map is not None
    assert finding.map_to_original == Affine(120 / 64, 80 / 64, 0, 0)
    y, x = np.unravel_index(finding.map.argmax(), finding.map.shape)
    original = finding.map_to_original.point(float(x), float(y))
    assert 35 < original[0] < 85
    assert 15 < original[1] < 65


def test_the_explanation_says_what_the_numbers_say(
    inspector: Inspector, fresh: np.ndarray, defects: np.ndarray
) -> None:
    (odd,) = inspector.check(defects[:1])
    assert str(odd.explanation).startswith("Flagged, to be ")
    assert "none of 24 normal images scored as high" in str(odd.explanation)
    calm = next(f for f in inspector.check(fresh) if not f.anomalous)
    assert str(calm.explanation).startswith("Not flagged: score ")


def test_a_finding_reads_itself_back(inspector: Inspector, defects: np.ndarray) -> None:
    for finding in inspector.check([*defects[:3], np.zeros((3, 3, 3), np.int64)]):
        line = json.loads(json.dumps(finding.to_json()))
        assert Finding.from_json(line).to_json() == finding.to_json()
    for damaged in ({}, {**line, "regions": None}, {**line, "image": 3}, {**line, "regions": [{"box": [1]}]}):
        with pytest.raises(InputError, match="no finding"):
            Finding.from_json(damaged)

"""SoftPatch: its factors, its weighted distances, and a folder of normal images that hides defects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors import Batch
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.patches.patchcore import PatchCore
from anomalens.detectors.patches.softpatch import SoftPatch, SoftPatchSettings, outlier_factors
from anomalens.detectors.patches.views.bank import Bank
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.inspector import Inspector
from anomalens.job import Job
from anomalens.metrics.ranking import image_auroc

SIZE = (64, 96)
JOB = Job(Runtime())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_factors_are_those_of_breunig(rng: np.random.Generator) -> None:
    x = rng.normal(size=(40, 5)).astype(np.float32)
    k = 6
    apart = np.linalg.norm(x[:, None] - x[None], axis=2).astype(float)
    near = [[int(j) for j in np.argsort(row) if j != i][:k] for i, row in enumerate(apart)]
    reach_of = [apart[i, near[i][-1]] for i in range(40)]

    def density(i: int) -> float:
        return 1 / float(np.mean([max(reach_of[j], apart[i, j]) for j in near[i]]))

    expected = [np.mean([density(j) for j in near[i]]) / density(i) for i in range(40)]
    np.testing.assert_allclose(outlier_factors(x, k), expected, rtol=1e-3)


def test_equal_vectors_are_no_outliers() -> None:
    np.testing.assert_allclose(outlier_factors(np.ones((9, 4), np.float32), 6), 1)


def test_distances_count_by_the_factor_of_what_they_are_measured_to(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(4, 6)).astype(np.float32)
    factors = np.array([1, 3, 1, 2], np.float32)
    queries = rng.normal(size=(30, 6)).astype(np.float32)
    each = np.linalg.norm(queries[:, None] - vectors[None], axis=2) * factors
    np.testing.assert_allclose(Bank(vectors, factors).distances(queries), each.min(1), rtol=1e-4)


def test_what_one_image_alone_shows_is_not_remembered() -> None:
    normal = [np.array(image) for image in TexturedImages.make(12, SIZE, seed=1)]
    marked = normal[3].copy()
    marked[20:44, 30:60] = 255
    hidden = TexturedImages((*normal[:3], marked, *normal[4:]), np.arange(12))
    fresh = np.array(normal[5])
    fresh[20:44, 30:60] = 255
    stands_out = {}
    for detector in (PatchCore(), SoftPatch()):
        detector.fit(hidden, JOB)
        marked_score, normal_score = detector.score(Batch([fresh, normal[6]], ["marked", "normal"])).image
        stands_out[detector.name] = marked_score / normal_score
    assert stands_out["softpatch"] > 3 and stands_out["softpatch"] > 2 * stands_out["patchcore"]


def test_weights_that_are_none_are_refused() -> None:
    detector = SoftPatch()
    detector.fit(TexturedImages.make(5, SIZE, seed=0), JOB)
    state = detector.state()
    state.arrays["weights"] = state.arrays["weights"] * 0
    with pytest.raises(ValueError, match="weights"):
        SoftPatch.from_state(state, size=SIZE, runtime=Runtime())


def test_images_that_memory_does_not_hold_are_refused() -> None:
    short = SoftPatch(SoftPatchSettings(memory_mb=16, min_bank=50, max_bank=100))
    with pytest.raises(SettingError, match="raise memory_mb"):
        short.fit(TexturedImages.make(20, (512, 512), seed=0), JOB)


@pytest.mark.filterwarnings("ignore")
def test_defects_among_normal_images_are_found_all_the_same(real_set: Callable[[str], Path]) -> None:
    folder = real_set("paper_piped/bdp01_tl")
    normal = ImageSet.from_folder(folder / "train" / "good")
    defects = ImageSet.from_folder(folder / "test")
    wrong = [i for i, entry in enumerate(defects) if "good" not in entry.id]
    hidden, tested = wrong[:6], [i for i in range(len(defects)) if i not in wrong[:6]]
    learnt = ImageSet.concatenate([normal, defects.subset(hidden)])
    rates = {}
    for name in ("patchcore", "softpatch"):
        model = Inspector.fit(learnt, detector=name, size=128)
        findings = list(model.check(defects.subset(tested)))
        kinds = np.array([i in wrong for i in tested])
        assert image_auroc(np.array([f.score for f in findings]), kinds) > 0.9
        rates[name] = np.mean([f.anomalous for f, bad in zip(findings, kinds, strict=True) if bad])
    assert rates["softpatch"] >= rates["patchcore"]

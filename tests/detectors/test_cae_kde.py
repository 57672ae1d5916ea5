"""cae-kde: its density against numpy, its thresholds, its bandwidth; bad input; parasites in real cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.detectors import Batch, load_detector  # noqa: E402
from anomalens.detectors.checks import TexturedImages, yield_checks  # noqa: E402
from anomalens.errors import ModelFileError, SettingError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.latent_density import LatentDensity, likeliest_bandwidth, scaled  # noqa: E402

TINY = {"epochs": "2", "batch_size": "4", "width": "4", "latent": "8", "depth": "3"}


def settings(**parameters: str) -> Any:
    return load_detector("cae-kde").settings_type.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(load_detector("cae-kde"), settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("scaling", ["whiten", "standardise", "none"])
def test_the_density_is_that_of_a_plain_kernel_estimate(scaling: str) -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(3, [0.5, 1, 5], (50, 3)) @ rng.normal(size=(3, 3))
    new = codes[:5] + rng.normal(0, 1, (5, 3))
    mean, matrix = scaled(codes, scaling)
    if scaling == "whiten":
        spread = np.cov(((codes - mean) @ matrix).T, bias=True)
        np.testing.assert_allclose(spread, np.diag(np.diag(spread)), atol=1e-9)
    density = LatentDensity(codes, mean, matrix, 0.3)
    found = density(torch.from_numpy(new.astype(np.float32))).numpy()
    a, b = (new - mean) @ matrix, (codes - mean) @ matrix
    squared = ((a[:, None] - b[None]) ** 2).sum(2)
    kernels = np.exp(-squared / (2 * 0.3**2)) / (2 * np.pi * 0.3**2) ** 1.5
    with np.errstate(divide="ignore"):
        plain = -np.log(kernels.mean(1))
    seen = np.isfinite(plain)  # far away the plain sum is 0, and ours is still a number
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[seen], plain[seen], rtol=1e-3)


def test_of_fewer_codes_than_numbers_new_ones_are_no_farther_than_their_like() -> None:
    codes = np.random.default_rng(0).normal(size=(130, 60))
    mean, matrix = scaled(codes[:30], "whiten")
    learnt, new = ((part - mean) @ matrix for part in (codes[:30], codes[30:]))
    assert np.linalg.norm(new, axis=1).mean() < 2 * np.linalg.norm(learnt, axis=1).mean()


def test_far_from_everything_the_density_is_small_and_finite() -> None:
    density = LatentDensity(np.zeros((4, 2)), np.zeros(2), np.eye(2), 0.01)
    near, far = density(torch.tensor([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    assert np.isfinite([near, far]).all() and far - near == pytest.approx(1000**2 / (2 * 0.01**2), rel=1e-5)


def test_the_bandwidth_of_normal_codes_is_near_the_rule_of_thumb() -> None:
    rng = np.random.default_rng(0)
    kept, fresh = rng.normal(size=(400, 2)), rng.normal(size=(300, 2))
    silverman = 400 ** (-1 / 6)
    assert 0.5 * silverman < likeliest_bandwidth(kept, fresh) < 2 * silverman
    assert likeliest_bandwidth(np.ones((5, 2)), np.ones((4, 2))) == 1.0


def test_constant_codes_are_no_fault() -> None:
    for scaling in ("whiten", "standardise", "none"):
        mean, matrix = scaled(np.ones((6, 4)), scaling)
        density = LatentDensity(np.ones((6, 4)), mean, matrix, 1.0)
        assert torch.isfinite(density(torch.zeros(1, 4))).all()


@pytest.fixture(scope="module")
def fitted() -> Any:
    images = TexturedImages.make(24, (48, 48), seed=0)
    detector = load_detector("cae-kde")(settings(max_codes="10"))
    scores = detector.fit(images, Job(Runtime()))
    return detector, images, scores


def test_one_threshold_is_one_on_each_part(fitted: Any) -> None:
    detector, images, _ = fitted
    threshold = 1.0
    limits = detector.part_thresholds(threshold)
    assert set(limits) == set(detector.components)
    scores = detector.score(Batch(list(images), [str(i) for i in range(len(images))]))
    over = np.any([scores.parts[name] > limits[name] + 1e-12 for name in limits], axis=0)
    np.testing.assert_array_equal(scores.image > threshold, over)
    assert over.any() and not over.all()
    assert detector.part_thresholds(9.0)["reconstruction error"] > limits["reconstruction error"]


def test_it_keeps_no_more_codes_than_asked_and_says_so(fitted: Any) -> None:
    detector, _, scores = fitted
    assert any("10 codes of 8 numbers" in note for note in detector.notes)
    held_out = np.isfinite(scores.image)
    assert 0 < held_out.sum() < len(held_out)


def test_a_damaged_state_is_refused_and_never_another_score(fitted: Any) -> None:
    kind, state, image = type(fitted[0]), fitted[0].state(), np.zeros((48, 48, 3), np.uint8)

    def rebuilt(**numbers: Any) -> Any:
        changed = replace(state, numbers={**state.numbers, **numbers})
        return kind.from_state(changed, size=(48, 48), runtime=Runtime())

    for scales in ([], state.numbers["scales"][:1], 3 * state.numbers["scales"]):
        with pytest.raises(ValueError, match="scales"):
            rebuilt(scales=scales)
    state = replace(state, numbers={**state.numbers, "scales": []})
    other = load_detector("cae").from_state(state, size=(48, 48), runtime=Runtime())
    with pytest.raises(ModelFileError, match="where cae needs"):
        other.score(Batch([image], ["a"]))


def test_an_unknown_scaling_is_refused() -> None:
    with pytest.raises(SettingError, match="whiten"):
        load_detector("cae-kde")(settings(scaling="witen"))


@pytest.mark.filterwarnings("ignore:300 images form")
def test_parasites_score_higher_and_a_saved_model_scores_the_same(
    real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    (file,) = real_set("malaria_cells").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train, odd = data["x_train"][:300], data["y_test"] == 1
        rows = np.r_[np.flatnonzero(~odd)[:60], np.flatnonzero(odd)[:60]]
        test, odd = data["x_test"][rows], odd[rows]
    model = Inspector.fit(
        train, detector="cae-kde", size=32, parameters={"epochs": 6, "latent": 16, "width": 8, "depth": 3},
        policy="false-alarm-rate=0.1",
    )  # fmt: skip
    assert model.calibration.method == "held-out"
    findings = list(model.check(test))
    scores = np.array([finding.score for finding in findings])
    auroc = (scores[odd][:, None] > scores[~odd][None]).mean()
    assert auroc > 0.6
    assert set(findings[0].parts) == {"reconstruction error", "-log density"}
    loaded = Inspector.load(model.save(tmp_path / "cells.anomalens"))
    np.testing.assert_array_equal(scores, [finding.score for finding in loaded.check(test)])
    before, after = (m.detector.part_thresholds(m.calibration.threshold.value) for m in (model, loaded))
    assert before == after

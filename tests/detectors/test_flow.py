"""flow: the contract, its density by formula, arrays against torch, calibration, errors, real images."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.datasets import load_tasks  # noqa: E402
from anomalens.detectors import load_detector  # noqa: E402
from anomalens.detectors.checks import TexturedImages, yield_checks  # noqa: E402
from anomalens.detectors.density.flow import FlowHead, FlowSettings  # noqa: E402
from anomalens.errors import SettingError  # noqa: E402
from anomalens.evaluation.evaluate import evaluate_task  # noqa: E402
from anomalens.inspector import FitOptions  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.flow import trained_flow  # noqa: E402
from anomalens.training.plan import Plan  # noqa: E402
from anomalens.training.split import Split  # noqa: E402

TINY = {"epochs": "2", "steps": "2", "hidden": "8"}


def settings(**parameters: str) -> FlowSettings:
    return FlowSettings.from_texts({**TINY, **parameters})


def every_check() -> Any:
    for chosen in ({"features": "pixels"}, {"components": "4"}, {"scaling": "standardise"}):
        for check in yield_checks(load_detector("flow"), settings=settings(**chosen)):
            yield pytest.param(check, id=f"{'-'.join(chosen.values())}-{check}")


@pytest.mark.parametrize("check", list(every_check()))
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def banana(n: int, seed: int) -> np.ndarray:
    """Two numbers whose joint density is no Gaussian, and two of noise."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(n)
    return np.stack([a, a**2 + 0.3 * rng.standard_normal(n), *rng.standard_normal((2, n))], 1).astype(
        np.float32
    )


def trained(z: np.ndarray, epochs: int) -> Any:
    n = len(z)
    split = Split(np.arange(n - 100), np.arange(n - 100, n), np.arange(0))
    plan = Plan(epochs=epochs, batch_size=64, learning_rate=3e-3, patience=0, device="cpu")
    return trained_flow(z, split, plan, steps=4, hidden=16, noise=0.0, job=Job(Runtime()))


def test_a_flow_bends_where_a_gaussian_cannot() -> None:
    z = banana(600, 0)
    z = (z - z.mean(0)) / z.std(0)
    couplings, densities, history = trained(z, 30)
    gaussian = 0.5 * (z**2).sum(1).mean() + 2 * math.log(2 * math.pi)
    assert FlowHead(np.zeros(4), couplings).scores(z[-100:]).mean() < gaussian - 0.5
    np.testing.assert_allclose(
        FlowHead(np.zeros(4), couplings).scores(z[: len(densities)]), densities, rtol=1e-4
    )
    assert len(history.curves["validation loss"]) == 30


def test_the_density_integrates_to_one() -> None:
    z = banana(400, 0)[:, :2]
    head = FlowHead(np.zeros(2), trained((z - z.mean(0)) / z.std(0), 5)[0])
    side = np.linspace(-8, 8, 321)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2).astype(np.float32)
    assert np.exp(-head.scores(grid)).sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=0.01)


def test_couplings_that_do_not_fit_are_refused() -> None:
    couplings, _, _ = trained(banana(200, 0), 1)
    good = FlowHead(np.zeros(4), couplings).arrays()
    for name, wrong in (
        ("flow_1_w1", good["flow_1_w1"][:, :-1]),
        ("flow_0_b2", good["flow_0_b2"][:-1]),
        ("flow_2_order", np.array([0, 1, 2, 2])),
        ("flow_2_order", np.array([0, 1, 2, 9])),
        ("flow_mean", np.zeros(5)),
    ):
        with pytest.raises(ValueError, match="fit"):
            load_detector("flow").head_from({"steps": 4}, {**good, name: wrong})
    with pytest.raises(ValueError, match="without"):
        FlowHead(np.zeros(4), [])


def test_every_image_calibrates_and_the_first_flow_is_told() -> None:
    fitted = load_detector("flow")(settings())
    scores = fitted.fit(TexturedImages.make(10, (64, 96), seed=0), Job(Runtime()))
    assert np.isfinite(scores.image).all()
    assert len(fitted.curves["validation loss"]) == 2
    assert "of 2 epochs on" in fitted.notes[0]


@pytest.mark.parametrize(("parameters", "words"), [({"steps": "0"}, "steps"), ({"noise": "-1"}, "noise")])
def test_bad_parameters_are_refused(parameters: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        settings(**parameters)


def test_impurities_in_paper_are_found(real_set: Callable[[str], Path]) -> None:
    (task,) = load_tasks(real_set("paper_piped") / "fvn01_tl")
    card = evaluate_task(
        task,
        FitOptions(detector="flow", size=128, runtime="onnxruntime", threads=1, parameters={"epochs": 5}),
    )
    assert card.error is None and card.image_auroc is not None and card.image_auroc > 0.8

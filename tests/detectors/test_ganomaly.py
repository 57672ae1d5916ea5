"""ganomaly: the difference of codes, its two norms, its warning; real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.detectors import load_detector  # noqa: E402
from anomalens.detectors.checks import yield_checks  # noqa: E402
from anomalens.errors import SettingError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.training.ganomaly import (  # noqa: E402
    CodeDifference,
    GanomalyGame,
    equal_codes_note,
    ganomaly_learner,
)

TINY = {"epochs": "30", "batch_size": "4", "width": "8", "latent": "32", "depth": "3"}


def settings(**parameters: str) -> Any:
    return load_detector("ganomaly").settings_type.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(load_detector("ganomaly"), settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_score_is_the_difference_of_the_two_codes(norm: str) -> None:
    torch.manual_seed(0)
    game = GanomalyGame((16, 24), latent=5, depth=2, width=4).eval()
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        (score,) = CodeDifference(game, norm=norm)(image)
        code = game.autoencoder.encoder(image)
        other = game.second(game.autoencoder.decoder(code))
    off = np.abs((code - other).double().numpy())
    assert score.item() == pytest.approx((off if norm == "l1" else off**2).mean(), rel=1e-5)


def test_the_loss_is_the_papers_weighted_sum() -> None:
    torch.manual_seed(0)
    game = GanomalyGame((16, 16), latent=5, depth=2, width=4).eval()
    batch = torch.rand(4, 3, 16, 16)

    def loss(*weights: float) -> float:
        names = ("adversarial", "contextual", "encoder")
        learner = ganomaly_learner(game, **dict(zip(names, weights, strict=True)))
        with torch.no_grad():
            return float(learner.players[0].loss(batch))

    parts = [loss(1, 0, 0), loss(0, 1, 0), loss(0, 0, 1)]
    assert min(parts) > 0
    assert loss(2, 50, 3) == pytest.approx(2 * parts[0] + 50 * parts[1] + 3 * parts[2], rel=1e-5)
    with torch.no_grad():
        error = (batch - game.autoencoder(batch)[0]).abs().mean()
    assert parts[1] == pytest.approx(float(error), rel=1e-5)


def test_equal_codes_are_named() -> None:
    (note,) = equal_codes_note(torch.ones(10, 4))
    assert "nearly one code" in note
    assert equal_codes_note(torch.eye(4)) == ()


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(SettingError, match="l1"):
        load_detector("ganomaly")(settings(norm="l3"))


@pytest.mark.filterwarnings("ignore:A false-alarm rate")
@pytest.mark.filterwarnings("ignore:300 images form")  # thin ones look alike
def test_other_digits_score_higher(real_set: Callable[[str], Path]) -> None:
    (file,) = real_set("mnist").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == 1][:300]
        test, odd = data["x_test"][:200], data["y_test"][:200] != 1
    parameters = {"epochs": 15, "latent": 16, "depth": 3, "width": 8}
    model = Inspector.fit(train, detector="ganomaly", size=32, parameters=parameters)
    scores = np.array([finding.score for finding in model.check(test)])
    assert (scores[odd][:, None] > scores[~odd][None]).mean() > 0.85

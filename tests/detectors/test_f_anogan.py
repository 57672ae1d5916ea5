"""f-anogan: two stages, a frozen generator, its score against plain arithmetic; real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.detectors import Batch, load_detector  # noqa: E402
from anomalens.detectors.checks import TexturedImages, yield_checks  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.f_anogan import (  # noqa: E402
    FAnoGanGame,
    ResidualScorer,
    encoding_learner,
    epochs_of,
)

TINY = {"epochs": "2", "gan_steps": "3", "batch_size": "4", "width": "4", "latent": "6", "depth": "3"}


def settings(**parameters: str) -> Any:
    return load_detector("f-anogan").settings_type.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(load_detector("f-anogan"), settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def test_the_score_is_the_sum_of_two_residuals() -> None:
    torch.manual_seed(0)
    game = FAnoGanGame((16, 24), latent=3, depth=2, width=4).eval()
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        parts, maps = ResidualScorer(game, (16, 24), kappa=2.0, sigma=0.0)(image)
        again = game.generator(game.encoder(image))
        features = [game.critic.trunk(2 * x - 1).double().numpy() for x in (image, again)]
    off = 2 * (image - again).double().numpy()
    wanted = [(off**2).mean(), 2 * ((features[0] - features[1]) ** 2).mean()]
    np.testing.assert_allclose(parts[0].numpy(), wanted, rtol=1e-5)
    np.testing.assert_allclose(maps[0].numpy(), np.abs(off[0] / 2).mean(0), atol=1e-6)


def test_the_second_stage_moves_the_encoder_only() -> None:
    torch.manual_seed(0)
    game = FAnoGanGame((16, 16), latent=3, depth=2, width=4)
    before = {name: value.clone() for name, value in game.state_dict().items()}
    learner = encoding_learner(game, kappa=1.0)
    learner.module.train()
    learner.before_epoch(0)
    learner.players[0].loss(torch.rand(4, 3, 16, 16)).backward()
    with torch.no_grad():
        for weight in learner.players[0].weights:
            weight -= 0.1 * weight.grad
    changed = {name for name, value in game.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("encoder.") for name in changed)


def test_both_stages_have_curves_and_notes() -> None:
    images = TexturedImages.make(16, (32, 32), seed=0)
    detector = load_detector("f-anogan")(settings())
    detector.fit(images, Job(Runtime()))
    assert {"gan: training critic", "gan: training generator", "encoder: training loss"} <= set(
        detector.curves
    )
    assert len(detector.curves["gan: validation loss"]) == 3
    assert [note.partition(":")[0] for note in detector.notes][:2] == ["gan", "encoder"]
    scores = detector.score(Batch(list(images), list(images.ids)))
    np.testing.assert_allclose(scores.image, sum(scores.parts.values()))


def test_the_generator_takes_the_steps_that_were_asked_for() -> None:
    assert epochs_of(600, 260, 32, every=3) == 200  # 9 batches, 3 steps in each epoch
    assert epochs_of(600, 33, 32, every=1) == 600  # a batch of one is left out
    assert epochs_of(10, 1, 32, every=5) == 46  # a step in every fifth epoch, the first among them


@pytest.mark.filterwarnings("ignore:A false-alarm rate")
@pytest.mark.filterwarnings("ignore:300 images form")  # thin ones look alike
def test_other_digits_score_higher(real_set: Callable[[str], Path]) -> None:
    (file,) = real_set("mnist").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == 1][:300]
        test, odd = data["x_test"][:200], data["y_test"][:200] != 1
    parameters = {
        "epochs": 20, "gan_steps": 250, "gan_learning_rate": 0.001, "batch_size": 16,
        "latent": 8, "depth": 3, "width": 8,
    }  # fmt: skip
    model = Inspector.fit(train, detector="f-anogan", size=32, parameters=parameters)
    scores = np.array([finding.score for finding in model.check(test)])
    assert (scores[odd][:, None] > scores[~odd][None]).mean() > 0.85

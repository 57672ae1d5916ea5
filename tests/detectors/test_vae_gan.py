"""vae-gan: a code with place in it, both players' weights, brains."""

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
from anomalens.images.image_set import ImageSet  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.training.vae_gan import VaeGanGame, vae_gan_learner  # noqa: E402

TINY = {"epochs": "2", "batch_size": "4", "width": "4", "latent": "4", "depth": "3"}


def settings(**parameters: str) -> Any:
    return load_detector("vae-gan").settings_type.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(load_detector("vae-gan"), settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def test_the_code_keeps_the_place() -> None:
    torch.manual_seed(0)
    game = VaeGanGame((64, 64), latent=4, depth=2, width=4).eval()
    image = torch.rand(1, 3, 64, 64)
    changed = image.clone()
    changed[:, :, :8, :8] = 0
    with torch.no_grad():
        codes, others = game.autoencoder.encode(image)[0], game.autoencoder.encode(changed)[0]
        moved = (game.autoencoder(image)[0] - game.autoencoder(changed)[0]).abs().amax((0, 1))
    assert codes.shape == (1, 4, 16, 16)
    assert (codes - others).abs().amax((0, 1))[4:].max() == 0
    assert moved[:8, :8].max() > 0 and moved[32:, 32:].max() == 0


def test_each_player_moves_its_own_weights() -> None:
    torch.manual_seed(0)
    game = VaeGanGame((16, 16), latent=4, depth=2, width=4)
    painter, judge = vae_gan_learner(game, prior=0.1, adversarial=0.1).players
    owners = [{id(weight) for weight in player.weights} for player in (painter, judge)]
    assert not owners[0] & owners[1]
    assert owners[0] | owners[1] == {id(weight) for weight in game.parameters()}
    judge.loss(torch.rand(4, 3, 16, 16)).backward()
    assert all(weight.grad is None for weight in painter.weights)


def test_an_unknown_image_score_is_refused() -> None:
    with pytest.raises(SettingError, match="mean"):
        load_detector("vae-gan")(settings(image_score="men"))


@pytest.mark.filterwarnings("ignore:A false-alarm rate", "ignore:60 images form")
def test_a_bright_spot_in_a_real_brain_is_the_strangest_place(real_set: Callable[[str], Path]) -> None:
    brains = ImageSet.from_folder(real_set("brain_mri") / "train" / "good")
    parameters = {
        "epochs": 25, "batch_size": 8, "learning_rate": 0.003, "latent": 4, "depth": 4, "width": 8,
    }  # fmt: skip
    model = Inspector.fit(brains, detector="vae-gan", size=64, parameters=parameters)
    image = brains.read(0).pixels
    odd = image.copy()
    height, width = image.shape[:2]
    rows, columns = slice(height // 2, height // 2 + height // 6), slice(width // 2, width // 2 + width // 6)
    odd[rows, columns] = 255
    plain, spotted = model.check([image, odd])
    assert spotted.score > plain.score
    rise = spotted.map - plain.map
    row, column = np.unravel_index(int(rise.argmax()), rise.shape)
    assert 30 <= row <= 45 and 30 <= column <= 45

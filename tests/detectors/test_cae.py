"""cae: the contract, the two published systems, variants and errors by their formulas, real images."""

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
from anomalens.training.autoencoder import Autoencoder, build, jacobian_penalty  # noqa: E402
from anomalens.training.pixel_errors import pixel_error  # noqa: E402
from anomalens.training.reconstruction import (  # noqa: E402
    Penalties,
    ReconstructionScorer,
    autoencoder_learner,
)

TINY = {"epochs": "1", "batch_size": "4", "width": "4", "latent": "8"}


def settings(**parameters: str) -> Any:
    return load_detector("cae").settings_type.from_texts({**TINY, **parameters})


def every_check() -> Any:
    for chosen in (
        {"depth": "3", "error": "flat", "image_score": "max"},
        {"architecture": "shelf", "learning_rate": "1", "loss": "ssim", "epochs": "3"},
    ):
        for check in yield_checks(load_detector("cae"), settings=settings(**chosen)):
            yield pytest.param(check, id=f"{'-'.join(chosen.values())}-{check}")


@pytest.mark.parametrize("check", list(every_check()))
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def test_the_shelf_autoencoder_is_that_of_the_thesis() -> None:
    network = build("shelf", (96, 96), latent=0, depth=0, width=0)
    reconstruction, codes = network(torch.rand(2, 3, 96, 96))
    assert codes.shape == (2, 27) and reconstruction.shape == (2, 3, 96, 96)
    # 3×3 convolutions of 16, 8, 3, 3, 8, 16 and 3 filters
    assert sum(weight.numel() for weight in network.parameters()) == 448 + 1160 + 219 + 84 + 224 + 1168 + 435
    published = load_detector("cae")(settings(architecture="shelf", epochs="100")).settings
    told = (published.optimiser, published.learning_rate, published.patience, published.loss)
    assert told == ("adadelta", 1e-3, 30, "l2")
    scored = (published.error, published.image_score, published.relative, published.augment)
    assert scored == ("l2", "mean", False, "")


def test_batches_are_small_where_nobody_chose_and_published_ones_are_as_published() -> None:
    kind = load_detector("cae")
    for architecture, asked, used in (("conv", 0, 8), ("conv", 32, 32), ("shelf", 0, 32), ("cells", 8, 8)):
        chosen = kind.settings_type(architecture=architecture, batch_size=asked)
        assert kind(chosen).settings.batch_size == used


def test_a_published_system_leaves_what_was_asked_for() -> None:
    cells = load_detector("cae")(settings(architecture="cells", epochs="7")).settings
    assert (cells.epochs, cells.validation, cells.augment) == (7, 0.2, "flip=both,rotate=180")
    assert load_detector("cae")(settings(architecture="cells", epochs="100")).settings.epochs == 1000
    assert (
        build("cells", (128, 128), latent=0, depth=0, width=0)(torch.rand(1, 3, 128, 128))[1].shape[1] == 2048
    )


@pytest.mark.parametrize("architecture", ["conv", "dense"])
def test_the_code_has_as_many_numbers_as_asked(architecture: str) -> None:
    network = build(architecture, (32, 48), latent=6, depth=4, width=8).eval()
    reconstruction, codes = network(torch.rand(3, 3, 32, 48))
    assert codes.shape == (3, 6) and reconstruction.shape == (3, 3, 32, 48)
    assert ((reconstruction >= 0) & (reconstruction <= 1)).all()


class Linear(Autoencoder):
    """Codes and reconstructions of one matrix, so that penalties are known."""

    def __init__(self) -> None:
        rows = torch.arange(24, dtype=torch.float32).reshape(2, 12) / 24
        encoder, decoder = torch.nn.Linear(12, 2, bias=False), torch.nn.Linear(2, 12, bias=False)
        encoder.weight.data.copy_(rows)
        super().__init__(
            torch.nn.Sequential(torch.nn.Flatten(), encoder),
            torch.nn.Sequential(decoder, torch.nn.Unflatten(1, (3, 2, 2))),
        )
        self.rows = rows


def test_the_contractive_penalty_is_the_squared_jacobian() -> None:
    torch.manual_seed(0)
    network = Linear()
    found = jacobian_penalty(network, torch.rand(4000, 3, 2, 2)).mean().item()
    assert found == pytest.approx(float((network.rows**2).sum()), rel=0.05)


def test_penalties_are_added_while_training_and_not_while_validating() -> None:
    network, batch = Linear(), torch.rand(5, 3, 2, 2)
    plain = autoencoder_learner(network, loss="l2", penalties=Penalties())
    sparse = autoencoder_learner(network, loss="l2", penalties=Penalties(sparse=2.0))
    codes = network.encode(batch).abs().mean()
    added = sparse.players[0].loss(batch) - plain.players[0].loss(batch)
    assert added.item() == pytest.approx(2 * codes.item(), rel=1e-5)
    torch.testing.assert_close(sparse.validation(batch), plain.validation(batch))
    assert plain.validation(batch).shape == (5,)
    noisy = autoencoder_learner(network, loss="l2", penalties=Penalties(noise=0.5))
    torch.manual_seed(0)
    assert noisy.players[0].loss(batch).item() != pytest.approx(plain.players[0].loss(batch).item(), rel=1e-3)
    torch.testing.assert_close(noisy.validation(batch), plain.validation(batch))


def test_the_errors_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.random((2, 3, 20, 16)).astype(np.float32) for _ in range(2))
    image, reconstruction = torch.from_numpy(x), torch.from_numpy(y)
    l1, l2 = (pixel_error(image, reconstruction, kind).numpy() for kind in ("l1", "l2"))
    np.testing.assert_allclose(l1, np.abs(x - y).mean(1), rtol=1e-5)
    np.testing.assert_allclose(l2, ((x - y) ** 2).mean(1), rtol=1e-5)
    around = np.lib.stride_tricks.sliding_window_view(y, (5, 5), axis=(2, 3))
    contrast = around.max((-1, -2)) - around.min((-1, -2))
    inner = (np.abs(x - y)[:, :, 2:-2, 2:-2] / (1 + (contrast / 0.1) ** 2)).mean(1)
    found = pixel_error(image, reconstruction, "flat")[:, 2:-2, 2:-2]
    np.testing.assert_allclose(found.numpy(), inner, rtol=1e-5)
    for kind in ("l1", "l2", "flat"):
        sides = [pixel_error(image, reconstruction, kind, side) for side in ("both", "darker", "brighter")]
        torch.testing.assert_close(sides[0], sides[1] + sides[2])
    dark = pixel_error(image * 0.5, image, "l1", "darker")
    torch.testing.assert_close(dark, image.mean(1) * 0.5)
    for kind in ("l1", "l2", "ssim", "flat"):
        assert pixel_error(image, image, kind).abs().max() < 1e-6


def test_flat_forgives_an_edge_and_not_a_spot() -> None:
    plain = torch.full((1, 3, 32, 32), 0.6)
    plain[..., :16] = 0.0
    moved, spotted = plain.clone(), plain.clone()
    moved[..., 16] = 0.0  # the edge is a pixel off
    spotted[:, :, 10:12, 24:26] = 0.3

    class Perfect(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            return plain, torch.zeros(len(images), 1)

    def scores(error: str) -> list[float]:
        scorer = ReconstructionScorer(Perfect(), (32, 32), error=error, sigma=1.0, image_score="max")
        return [float(scorer(image)[0]) for image in (moved, spotted)]

    edge, spot = scores("l2")
    assert edge > spot
    edge, spot = scores("flat")
    assert spot > 2 * edge


@pytest.mark.parametrize("image_score", ["norm4", "mean", "max"])
def test_errors_are_relative_to_what_is_usual_at_their_place(image_score: str) -> None:
    class Grey(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            return torch.full_like(images, 0.5), torch.zeros(len(images), 1)

    varied = 0.5 + 0.1 * torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    varied[..., :8] = 0.5 + 4 * (varied[..., :8] - 0.5)  # the left half always varies four times as much
    scorer = ReconstructionScorer(Grey(), (16, 16), error="l1", sigma=1.0, image_score=image_score)
    left, right = torch.full((2, 1, 3, 16, 16), 0.5)
    left[:, :, 6:9, 3:6], right[:, :, 6:9, 11:14] = 0.9, 0.9

    def scores() -> list[float]:
        return [float(scorer(image)[0]) for image in (left, right)]

    before = scores()
    assert before[0] == pytest.approx(before[1], rel=0.05)
    scorer.learn_usual([varied])
    after = scores()
    assert after[1] > 1.5 * after[0]
    assert float(scorer.parts(varied)[1].mean()) == pytest.approx(1 / 1.3, rel=0.15)


def test_a_perfect_reconstruction_is_divided_by_no_zero() -> None:
    class Same(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            return images, torch.zeros(len(images), 1)

    scorer = ReconstructionScorer(Same(), (16, 16), error="flat", sigma=1.0, image_score="norm4")
    scorer.learn_usual([torch.rand(4, 3, 16, 16)])
    assert all(torch.isfinite(part).all() for part in scorer(torch.rand(1, 3, 16, 16)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architecture": "cell"}, "cells"),
        ({"loss": "flat"}, "l2"),
        ({"error": "l3"}, "l2"),
        ({"side": "dark"}, "darker"),
        ({"error": "ssim", "side": "darker"}, "no sides"),
        ({"image_score": "median"}, "mean"),
        ({"latent": "0"}, "latent"),
        ({"batch_size": "1"}, "2 or more"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        load_detector("cae")(settings(**wrong))
    assert "\n" not in str(caught.value)


def test_a_size_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(SettingError, match="multiples of 32, not 50×64"):
        build("conv", (50, 64), latent=4, depth=5, width=4)


@pytest.mark.filterwarnings("ignore:300 images form")
def test_other_digits_are_reconstructed_worse(real_set: Callable[[str], Path]) -> None:
    (file,) = real_set("mnist").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == 1][:300]
        test, odd = data["x_test"][:200], data["y_test"][:200] != 1
    model = Inspector.fit(
        train, detector="cae", size=32, policy="false-alarm-rate=0.1",
        parameters={"epochs": 8, "batch_size": 8, "latent": 8, "width": 8, "depth": 3},
    )  # fmt: skip
    scores = np.array([finding.score for finding in model.check(test)])
    assert (scores[odd][:, None] > scores[~odd][None]).mean() > 0.95
    assert model.detector.curves["validation loss"][-1] < model.detector.curves["validation loss"][0]

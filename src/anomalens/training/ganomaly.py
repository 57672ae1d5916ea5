"""GANomaly (Akçay et al. 2018): encoder, decoder, encoder, and a discriminator."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from anomalens.training.adversarial import Discriminator, telling_apart
from anomalens.training.autoencoder import build, coarse_grid, conv_encoder
from anomalens.training.learner import Learner, Player

_EQUAL: Final = 1e-3  # standard deviation of a code's number over images


class GanomalyGame(nn.Module):
    """Autoencoder G, second encoder E and discriminator D."""

    def __init__(self, size: tuple[int, int], *, latent: int, depth: int, width: int) -> None:
        super().__init__()
        grid = coarse_grid(size, 2**depth)
        self.autoencoder = build("conv", size, latent=latent, depth=depth, width=width)
        self.second = conv_encoder(grid, latent, depth, width)
        self.discriminator = Discriminator(grid, depth, width)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstructions [n, 3, h, w], their codes' and the images' codes [n, k]."""
        again, codes = self.autoencoder(images)
        return again, codes, self.second(again)


def ganomaly_learner(game: GanomalyGame, *, adversarial: float, contextual: float, encoder: float) -> Learner:
    """The weighted sum of the paper's three losses (eq. 4), against telling apart.

    Validation is the contextual loss: the difference of the codes is least where all codes are equal.
    """
    autoencoder, discriminator = game.autoencoder, game.discriminator

    def generating(batch: Tensor) -> Tensor:
        again, codes, second = (part.float() for part in game(batch))
        features = discriminator.features(torch.cat([batch, again]))
        real, made = features.chunk(2)
        return (
            adversarial * (real.detach() - made).square().mean()
            + contextual * (batch - again).abs().mean()
            + encoder * (codes - second).square().mean()
        )

    def judging(batch: Tensor) -> Tensor:
        with torch.no_grad():
            again, _ = autoencoder(batch)
        return telling_apart(discriminator, batch, again)

    def validation(batch: Tensor) -> Tensor:
        return (batch - autoencoder(batch)[0]).abs().mean((1, 2, 3))

    weights = [*autoencoder.parameters(), *game.second.parameters()]
    return Learner(
        game,
        [
            Player("generator", weights, generating),
            Player("discriminator", list(discriminator.parameters()), judging),
        ],
        validation,
    )


def equal_codes_note(codes: Tensor) -> tuple[str, ...]:
    """A sentence where the codes [n, k] of different images are all but equal."""
    if len(codes) < 2 or float(codes.std(0, correction=0).mean()) > _EQUAL:
        return ()
    return (
        "All images have nearly one code, so that codes cannot differ; raise contextual or train longer.",
    )


class CodeDifference(nn.Module):
    """Image → difference of its code and its reconstruction's code, [1, 1]."""

    def __init__(self, game: GanomalyGame, *, norm: str) -> None:
        super().__init__()
        self.game = game
        self.norm = norm

    def forward(self, images: Tensor) -> tuple[Tensor]:
        _, codes, second = self.game(images)
        off = codes - second
        return ((off.abs() if self.norm == "l1" else off.square()).mean(1, keepdim=True),)

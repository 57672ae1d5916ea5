"""f-AnoGAN (Schlegl et al. 2019): a Wasserstein GAN draws normal images, an encoder finds their codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anomalens.training.adversarial import Discriminator, critics_loss, energy_score
from anomalens.training.autoencoder import coarse_grid, conv_decoder, conv_encoder
from anomalens.training.learner import Learner, Player, frozen
from anomalens.training.pixel_errors import Smooth

_DRAWN = 64  # pictures that validation images are compared with


class FAnoGanGame(nn.Module):
    """Generator G, critic D and encoder E."""

    def __init__(self, size: tuple[int, int], *, latent: int, depth: int, width: int) -> None:
        super().__init__()
        grid = coarse_grid(size, 2**depth)
        self.latent = latent
        self.generator = conv_decoder(grid, latent, depth, width)
        self.critic = Discriminator(grid, depth, width)
        self.encoder = conv_encoder(grid, latent, depth, width)

    def draw(self, count: int, like: Tensor) -> Tensor:
        """Pictures of random codes, on the device of `like`."""
        pictures: Tensor = self.generator(torch.randn(count, self.latent, device=like.device))
        return pictures

    def residuals(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Errors of image and features, [n] each, mean squares of images scaled to −1–1; and G(E(x))."""
        again = self.generator(self.encoder(images))
        of_image = (2 * (images - again)).square().mean((1, 2, 3))
        of_features = (self.critic.features(images) - self.critic.features(again)).square().mean((1, 2, 3))
        return of_image, of_features, again


def drawing_learner(game: FAnoGanGame, *, critic_steps: int, penalty: float) -> Learner:
    """The GAN: the critic learns from every batch, the generator from every `critic_steps`-th.

    Validation is the energy score of the images against drawn ones.
    """

    def judging(batch: Tensor) -> Tensor:
        with torch.no_grad():
            made = game.draw(len(batch), batch)
        return critics_loss(game.critic, batch, made, penalty=penalty)

    def drawing(batch: Tensor) -> Tensor:
        return -game.critic(game.draw(len(batch), batch))[0].mean()

    def validation(batch: Tensor) -> Tensor:
        return energy_score(batch, game.draw(_DRAWN, batch))

    return Learner(
        game,
        [
            Player("critic", list(game.critic.parameters()), judging),
            Player("generator", list(game.generator.parameters()), drawing, critic_steps),
        ],
        validation,
    )


def epochs_of(steps: int, n_images: int, batch_size: int, *, every: int) -> int:
    """Passes over so many images in which the generator, moved by every so many-th batch, takes `steps`."""
    full, rest = divmod(n_images, batch_size)
    batches = max(full + (rest > 1), 1)  # the loop leaves out a last batch of one image
    return math.ceil(((steps - 1) * every + 1) / batches)


def encoding_learner(game: FAnoGanGame, *, kappa: float) -> Learner:
    """The encoder, G and D frozen: residual of the image + κ · residual of D's features ("izi_f")."""
    frozen(game.generator)
    frozen(game.critic)

    def loss(batch: Tensor) -> Tensor:
        of_image, of_features, _ = game.residuals(batch)
        return of_image + kappa * of_features

    def keep_frozen(epoch: int) -> None:
        game.generator.eval()
        game.critic.eval()

    return Learner(
        game,
        [Player("loss", list(game.encoder.parameters()), lambda batch: loss(batch).mean())],
        loss,
        keep_frozen,
    )


def drawn_pictures(game: FAnoGanGame, *, seed: int) -> Tensor:
    """What the generator draws, to see whether it draws more than one thing."""
    with torch.no_grad():
        codes = torch.randn(_DRAWN, game.latent, generator=torch.Generator().manual_seed(seed))
        pictures: Tensor = game.generator(codes)
    return pictures


class ResidualScorer(nn.Module):
    """Image → ([residual of the image, κ · residual of the features] [1, 2], |x − G(E(x))| [1, h, w])."""

    def __init__(self, game: FAnoGanGame, size: tuple[int, int], *, kappa: float, sigma: float) -> None:
        super().__init__()
        self.game = game
        self.kappa = kappa
        self.smooth = Smooth(size, size, sigma)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        of_image, of_features, again = self.game.residuals(images)
        parts = torch.stack([of_image, self.kappa * of_features], 1)
        return parts, self.smooth((images - again).abs().mean(1))

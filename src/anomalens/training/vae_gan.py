"""AnoVAEGAN (Baur et al. 2018): a variational autoencoder with a spatial code, and a discriminator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anomalens.training.adversarial import Discriminator, passing_for_real, telling_apart
from anomalens.training.autoencoder import channels_at, coarse_grid, doublings, halvings
from anomalens.training.learner import Learner, Player
from anomalens.training.pixel_errors import pixel_error
from anomalens.training.variational import LOG_VARIANCES, divergence, drawn


class SpatialVae(nn.Module):
    """A code of `latent` numbers at each place of the smallest map, so that place is not lost.

    Called, it gives reconstructions [n, 3, h, w] from the mean codes, and these [n, k].
    """

    def __init__(self, size: tuple[int, int], *, latent: int, depth: int, width: int) -> None:
        super().__init__()
        self.grid = coarse_grid(size, 2**depth)
        last = channels_at(depth, width)[-1]
        self.encoder = nn.Sequential(*halvings(depth, width), nn.Conv2d(last, 2 * latent, 1))
        self.decoder = nn.Sequential(nn.Conv2d(latent, last, 1), *doublings(depth, width))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the codes, [n, latent, rows, columns] each."""
        mean, log_variance = self.encoder(images).chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, _ = self.encode(images)
        return self.decoder(mean), mean.flatten(1)


class VaeGanGame(nn.Module):
    """Both players."""

    def __init__(self, size: tuple[int, int], *, latent: int, depth: int, width: int) -> None:
        super().__init__()
        self.autoencoder = SpatialVae(size, latent=latent, depth=depth, width=width)
        self.discriminator = Discriminator(self.autoencoder.grid, depth, width)


def vae_gan_learner(game: VaeGanGame, *, prior: float, adversarial: float) -> Learner:
    """Absolute error + `prior` · KL + `adversarial` · passing for real, against telling apart.

    The error is the mean over the image; the KL, a sum over the code, is divided by as many numbers.
    Validation is the error.
    """
    autoencoder, discriminator = game.autoencoder, game.discriminator

    def reconstructing(batch: Tensor) -> Tensor:
        mean, log_variance = (part.float() for part in autoencoder.encode(batch))
        made = autoencoder.decoder(drawn(mean, log_variance)).float()
        error = (batch - made).abs().mean()
        far = divergence(mean, log_variance).sum() / batch.numel()
        return error + prior * far + adversarial * passing_for_real(discriminator, made)

    def judging(batch: Tensor) -> Tensor:
        with torch.no_grad():
            made = autoencoder.decoder(drawn(*autoencoder.encode(batch)))
        return telling_apart(discriminator, batch, made)

    def validation(batch: Tensor) -> Tensor:
        return pixel_error(batch, autoencoder(batch)[0], "l1").mean((1, 2))

    return Learner(
        game,
        [
            Player("autoencoder", list(autoencoder.parameters()), reconstructing),
            Player("discriminator", list(discriminator.parameters()), judging),
        ],
        validation,
    )

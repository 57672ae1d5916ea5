"""Variational autoencoder (Kingma & Welling 2014) whose decoder says how sure it is of each pixel."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from anomalens.training.autoencoder import coarse_grid, conv_decoder, conv_encoder
from anomalens.training.learner import Learner, Player
from anomalens.training.pixel_errors import Smooth

_WIDEST_DEVIATION: Final = 1.0  # of pixels 0–1
LOG_VARIANCES: Final = (-10.0, 4.0)  # of codes: beyond, exponentials gain nothing but accidents
_IN_USE: Final = 0.01  # variance of a code's mean over images (Burda et al. 2016, section 5.3)


class VariationalAutoencoder(nn.Module):
    """Codes are Gaussian, with the prior N(0, 1); so are pixels given the code, each by itself.

    The decoder gives each pixel's centre and its deviation (An & Cho 2015), from `floor` to 1.

    Parameters
    ----------
    size : (height, width)
    latent, depth, width : int
        As for the convolutional autoencoder.
    floor : float
        Smallest deviation of a pixel, of 0–1.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        latent: int,
        depth: int,
        width: int,
        floor: float,
    ) -> None:
        super().__init__()
        grid = coarse_grid(size, 2**depth)
        self.latent = latent
        self.deviations = (math.log(floor), math.log(_WIDEST_DEVIATION))
        self.encoder = conv_encoder(grid, 2 * latent, depth, width)
        self.decoder = conv_decoder(grid, latent, depth, width, outputs=6)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the codes, [n, k] each."""
        mean, log_variance = self.encoder(images).chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def surprise(self, images: Tensor, codes: Tensor) -> Tensor:
        """−log p(x | z) of every number of the images [n, 3, h, w], in nats, given codes [n, k]."""
        answer = self.decoder(codes).float()
        low, high = self.deviations
        log_deviation = low + (high - low) * answer[:, 3:]
        off = (images - answer[:, :3]) / log_deviation.exp()
        return off**2 / 2 + log_deviation + math.log(2 * math.pi) / 2


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, variance) from N(0, 1), of each number (Kingma & Welling 2014, appendix B)."""
    return (mean**2 + log_variance.exp() - 1 - log_variance) / 2


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A code of each distribution, through which gradients pass."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def variational_learner(network: VariationalAutoencoder, *, beta: float) -> Learner:
    """Lower −log p(x | z) + `beta` KL, in nats per number of the image; validation takes beta = 1."""

    def bound(batch: Tensor, weight: float) -> Tensor:
        mean, log_variance = (part.float() for part in network.encode(batch))
        surprise = network.surprise(batch, drawn(mean, log_variance)).mean((1, 2, 3))
        return surprise + weight * divergence(mean, log_variance).sum(1) / batch[0].numel()

    return Learner(
        network,
        [Player("loss", list(network.parameters()), lambda batch: bound(batch, beta).mean())],
        lambda batch: bound(batch, 1.0),
    )


def idle_note(means: Tensor) -> tuple[str, ...]:
    """A sentence where no number of the codes [n, k] tells images apart: posterior collapse."""
    if len(means) < 2 or bool((means.var(0, correction=0) > _IN_USE).any()):
        return ()
    return (
        "The code says nothing about the image (the posterior equals the prior); lower beta or train longer.",
    )


class MeanCodes(nn.Module):
    """Images → the means of their codes, [n, k]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        mean: Tensor = self.network.encode(images)[0]
        return mean.flatten(1)


class SurpriseScorer(nn.Module):
    """Image → ([reconstruction probability, KL] [1, 2], map [1, h, w]), nats per number of the image.

    Parameters
    ----------
    network : VariationalAutoencoder
    samples : int
        Codes that −log p(x | z) is averaged over, drawn with noise that is kept as a constant; 0 takes the
        mean code.
    seed : int
        What that noise is drawn from.
    sigma : float
        Smoothing of the map, in pixels.
    image_score : "mean" of the map before smoothing, or "max" of the smoothed one, in place of the mean
    """

    noise: Tensor

    def __init__(
        self,
        network: VariationalAutoencoder,
        size: tuple[int, int],
        *,
        samples: int,
        seed: int,
        sigma: float,
        image_score: str,
    ) -> None:
        super().__init__()
        self.network = network
        self.image_score = image_score
        self.smooth = Smooth(size, size, sigma)
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("noise", torch.randn(samples, network.latent, generator=generator))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.network.encode(images)
        if len(self.noise):
            # one image at a time: its codes are the batch
            codes = mean + (log_variance / 2).exp() * self.noise
            surprise = self.network.surprise(images, codes).mean(0, keepdim=True)
        else:
            surprise = self.network.surprise(images, mean)
        divergences = divergence(mean, log_variance).sum(1) / images[0].numel()
        pixels = surprise.mean(1)
        maps = self.smooth(pixels)
        probability = pixels.mean((1, 2)) if self.image_score == "mean" else maps.amax((1, 2))
        return torch.stack([probability, divergences], 1), maps

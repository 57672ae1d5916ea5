"""Autoencoders: convolutional ones of any depth, two of published systems, and a dense one."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from anomalens.errors import SettingError

WIDEST: Final = 128  # channels


class Autoencoder(nn.Module):
    """`encode` gives codes [n, k], `decode` images of codes.

    Parameters
    ----------
    encoder : Module
        float32 [n, 3, h, w], 0–1 → codes of any shape.
    decoder : Module
        Such codes → float32 [n, 3, h, w], 0–1.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, images: Tensor) -> Tensor:
        codes: Tensor = self.encoder(images)
        return codes

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructions [n, 3, h, w] and codes [n, k]."""
        codes = self.encode(images)
        return self.decoder(codes), codes.flatten(1)


def build(architecture: str, size: tuple[int, int], *, latent: int, depth: int, width: int) -> Autoencoder:
    """An untrained autoencoder.

    Parameters
    ----------
    architecture : str
        "conv": `depth` halvings, channels from `width` doubled up to 128, a code of `latent` numbers.
        "shelf": 16, 8 and 3 filters with pooling by 4, 4 and 2 and as many upsamplings; the code has the
        3 channels of the smallest map. "cells": 32, 16 and 8 filters with pooling by 2.
        "dense": fully connected layers of 512, 256 and `latent` numbers, mirrored.
    size : (height, width)

    Raises
    ------
    SettingError
        A side that cannot be halved so often.
    """
    if architecture == "dense":
        return _dense(size, latent)
    grid = coarse_grid(size, {"shelf": 32, "cells": 8}.get(architecture, 2**depth), architecture)
    if architecture == "shelf":
        return _pooled((16, 8, 3), (4, 4, 2))
    if architecture == "cells":
        return _pooled((32, 16, 8), (2, 2, 2))
    return Autoencoder(conv_encoder(grid, latent, depth, width), conv_decoder(grid, latent, depth, width))


def coarse_grid(size: tuple[int, int], factor: int, architecture: str = "conv") -> tuple[int, int]:
    """Rows and columns of the smallest map; SettingError for sides that are no multiples of the factor."""
    if size[0] % factor or size[1] % factor:
        raise SettingError(
            f"The architecture {architecture!r} makes images {factor} times smaller and needs sides that are "
            f"multiples of {factor}, not {size[0]}×{size[1]}; choose another size or depth."
        )
    return size[0] // factor, size[1] // factor


def channels_at(depth: int, width: int) -> list[int]:
    """Channels after each halving."""
    return [min(width * 2**level, max(WIDEST, width)) for level in range(depth)]


def halvings(depth: int, width: int) -> list[nn.Module]:
    """Strided convolutions: [n, 3, h, w] → [n, channels, h / 2^depth, w / 2^depth]."""
    layers: list[nn.Module] = []
    for before, after in pairwise([3, *channels_at(depth, width)]):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    return layers


def doublings(depth: int, width: int, *, outputs: int = 3) -> list[nn.Module]:
    """The mirror image of `halvings`, with values 0–1."""
    backwards = channels_at(depth, width)[::-1]
    layers: list[nn.Module] = [nn.BatchNorm2d(backwards[0]), nn.LeakyReLU(0.2)]
    for before, after in pairwise(backwards):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.LeakyReLU(0.2)]
    return [*layers, nn.ConvTranspose2d(backwards[-1], outputs, 4, 2, 1), nn.Sigmoid()]


def conv_encoder(grid: tuple[int, int], latent: int, depth: int, width: int) -> nn.Sequential:
    """Halvings, then a linear layer: [n, 3, h, w] → [n, latent]."""
    layers = halvings(depth, width)
    last = channels_at(depth, width)[-1]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(last * grid[0] * grid[1], latent))


def conv_decoder(
    grid: tuple[int, int], latent: int, depth: int, width: int, *, outputs: int = 3
) -> nn.Sequential:
    """The mirror image of `conv_encoder`: [n, latent] → [n, outputs, h, w], 0–1."""
    first = channels_at(depth, width)[-1]
    linear = nn.Linear(latent, first * grid[0] * grid[1])
    return nn.Sequential(linear, nn.Unflatten(1, (first, *grid)), *doublings(depth, width, outputs=outputs))


def _pooled(filters: tuple[int, ...], pools: tuple[int, ...]) -> Autoencoder:
    """3×3 convolutions with ReLU; pooling on the way down, repetition of pixels on the way up."""
    down: list[nn.Module] = []
    before = 3
    for channels, pool in zip(filters, pools, strict=True):
        down += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(pool)]
        before = channels
    up: list[nn.Module] = []
    for channels, pool in zip(filters[::-1], pools[::-1], strict=True):
        up += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=pool)]
        before = channels
    autoencoder = Autoencoder(
        nn.Sequential(*down), nn.Sequential(*up, nn.Conv2d(before, 3, 3, padding=1), nn.Sigmoid())
    )
    for layer in autoencoder.modules():
        if isinstance(layer, nn.Conv2d):  # Glorot's uniform start and zero biases, Keras' own
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias) if layer.bias is not None else None
    return autoencoder


def _dense(size: tuple[int, int], latent: int) -> Autoencoder:
    numbers = 3 * size[0] * size[1]
    widths = [numbers, 512, 256, latent]
    down: list[nn.Module] = [nn.Flatten()]
    up: list[nn.Module] = []
    for before, after in pairwise(widths):
        down += [nn.Linear(before, after), nn.ReLU()]
    for before, after in pairwise(widths[::-1]):
        up += [nn.Linear(before, after), nn.ReLU()]
    # neither a code nor an image is cut at zero
    return Autoencoder(
        nn.Sequential(*down[:-1]), nn.Sequential(*up[:-1], nn.Sigmoid(), nn.Unflatten(1, (3, *size)))
    )


def jacobian_penalty(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """Squared Frobenius norm of the code's Jacobian, [n], by one random projection (Hutchinson 1990).

    The contractive penalty of Rifai et al. (2011, eq. 7); its expectation is exact, with one backward pass
    instead of one per number of the code.
    """
    images = images.detach().requires_grad_()
    codes = autoencoder.encode(images).flatten(1)
    direction = torch.randn_like(codes)
    (slope,) = torch.autograd.grad((codes * direction).sum(), images, create_graph=True)
    return (slope**2).flatten(1).sum(1)

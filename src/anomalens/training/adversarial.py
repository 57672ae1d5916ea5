"""What the adversarial methods share: a discriminator, the two players' losses, and a look at variety.

What keeps a game of few images on its feet. The discriminator normalises each image by itself (layer norm)
and not a batch, as a gradient penalty asks for (Gulrajani et al. 2017). Weights are chosen by held-out
images: by the reconstruction error where a method reconstructs, by the energy score where it only draws.
A generator that draws nearly one picture is named in a note.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.training.autoencoder import channels_at

COLLAPSED: Final = 0.3  # of the variety of normal images


class Discriminator(nn.Module):
    """Images [n, 3, h, w], 0–1 → logits [n], high for real ones, and features [n, c, h / 2^depth, …].

    Parameters
    ----------
    grid : (height, width)
        Size of the features.
    depth, width : int
        Halvings, and channels after the first one.
    """

    def __init__(self, grid: tuple[int, int], depth: int, width: int) -> None:
        super().__init__()
        channels = channels_at(depth, width)
        layers: list[nn.Module] = []
        for before, after in pairwise([3, *channels]):
            layers.append(nn.Conv2d(before, after, 4, 2, 1))
            if before != 3:
                layers.append(nn.GroupNorm(1, after))  # one group: layer norm
            layers.append(nn.LeakyReLU(0.2))
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1] * grid[0] * grid[1], 1)

    def features(self, images: Tensor) -> Tensor:
        found: Tensor = self.trunk(2 * images - 1)
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images)
        return self.head(features.flatten(1))[:, 0], features


def telling_apart(discriminator: Discriminator, real: Tensor, made: Tensor) -> Tensor:
    """The discriminator's loss: cross-entropy of real against made (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-discriminator(real)[0]).mean() + F.softplus(discriminator(made.detach())[0]).mean()


def passing_for_real(discriminator: Discriminator, made: Tensor) -> Tensor:
    """The generator's loss, in the form that does not fade (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-discriminator(made)[0]).mean()


def critics_loss(critic: Discriminator, real: Tensor, made: Tensor, *, penalty: float) -> Tensor:
    """Wasserstein loss with the gradient penalty (Gulrajani et al. 2017, eq. 3)."""
    made = made.detach()
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * made).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between)[0].sum(), between, create_graph=True)
    # of images scaled to −1–1, as the critic sees them
    length = (slope / 2).flatten(1).norm(dim=1)
    return critic(made)[0].mean() - critic(real)[0].mean() + penalty * ((length - 1) ** 2).mean()


def energy_score(images: Tensor, drawn: Tensor) -> Tensor:
    """How badly drawn pictures stand for images: E|x − g| − E|g − g'| / 2 (Gneiting & Raftery 2007, eq. 21).

    Its mean is least where the drawn are distributed as the images are: neither pictures that are wrong nor
    pictures that are all alike lower it.

    Parameters
    ----------
    images : float32 [n, …]
    drawn : float32 [m, …], m above 1

    Returns
    -------
    float32 [n], per root of the number of pixels
    """
    x, g = images.flatten(1), drawn.flatten(1)
    among = torch.cdist(g, g).sum() / (len(g) * (len(g) - 1))
    return (torch.cdist(x, g).mean(1) - among / 2) / x.shape[1] ** 0.5


def variety(drawn: Tensor) -> float:
    """Mean standard deviation of a pixel over pictures [n, …]."""
    return float(drawn.flatten(1).std(0, correction=0).mean())


def collapse_note(drawn: Tensor, images: Tensor) -> tuple[str, ...]:
    """A sentence where the drawn pictures vary far less than the images do."""
    share = variety(drawn) / max(variety(images), 1e-12)
    if share >= COLLAPSED or len(images) < 2:
        return ()
    return (
        f"The generator draws nearly one picture ({share:.0%} of the normal images' variety); "
        "train longer, or with a lower learning_rate.",
    )

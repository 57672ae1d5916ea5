"""A discriminator between features and noised features: training and scoring (Liu et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.training.embedding import Embedding
from anomalens.training.features import Examples
from anomalens.training.highest import image_score
from anomalens.training.learner import Learner, Player
from anomalens.training.pixel_errors import Smooth

MARGIN = 0.5  # of the truncated L1 loss


class FeatureDiscriminator(nn.Sequential):
    """Two layers that say how strange a feature is: [n, C, h, w] → [n, 1, h, w]."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden, 1, 1, bias=False),
        )


class SimpleNetwork(nn.Module):
    """Embedding and discriminator."""

    def __init__(self, embedding: Embedding, hidden: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.discriminator = FeatureDiscriminator(embedding.channels, hidden)

    def forward(self, *features: Tensor) -> Tensor:
        strangeness: Tensor = self.discriminator(self.embedding(*features))[:, 0]
        return strangeness


def discriminator_learner(network: SimpleNetwork, *, noise: float) -> Learner:
    """Normal features below −0.5, the same with noise above 0.5; the rest costs what it misses (L1).

    Parameters
    ----------
    noise : float
        Standard deviation of the noise, of that of the features.
    """

    def loss(batch: Examples) -> Tensor:
        with torch.no_grad():
            features = network.embedding(*batch.features)
        noised = features + noise * torch.randn_like(features)
        both = network.discriminator(torch.cat([features, noised]))[:, 0].float()
        normal, strange = both.chunk(2)
        missed = F.relu(MARGIN + normal) + F.relu(MARGIN - strange)
        return missed.mean((1, 2))

    weights = list(network.discriminator.parameters())
    return Learner(network, [Player("loss", weights, lambda batch: loss(batch).mean())], loss)


class DiscriminatorScorer(nn.Module):
    """Features → (image score [1, 1], smoothed map [1, h, w])."""

    def __init__(
        self, network: SimpleNetwork, size: tuple[int, int], *, sigma: float, top_share: float
    ) -> None:
        super().__init__()
        self.top_share = top_share
        self.network = network
        self.enlarge = Smooth(network.embedding.grid, size, sigma)

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.enlarge(self.network(*features))
        return image_score(maps, self.top_share), maps

"""A student and an autoencoder that predict a frozen teacher's features (after Batzner et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anomalens.training.channel_scale import ChannelScale
from anomalens.training.embedding import Embedding
from anomalens.training.features import Examples, HeldFeatures
from anomalens.training.highest import image_score
from anomalens.training.learner import Learner, Player
from anomalens.training.pixel_errors import Smooth
from anomalens.training.split import Rows

LOW, HIGH = 0.9, 0.995  # quantiles of a normal map that become 0 and 0.1
_CODE_GRID: Final = 8  # positions a side of the map that the code is made of, at most
_APART: Final = 1.05  # the upper quantile is at least so many times the lower one
_PIXELS: Final = 10**6  # of the validation maps, at most, that the quantiles are taken from

Grid = tuple[int, int]


class StudentTeacher(nn.Module):
    """Teacher's features beside what student and autoencoder make of an earlier layer.

    Parameters
    ----------
    held : HeldFeatures
        Maps [c, h, w]: first the layer that is seen, then those that are predicted.
    rows : int64
        Images that give the channels' scale.
    width : int
        Channels of the student; the autoencoder has half as many.
    latent : int
        Numbers of the autoencoder's code.
    """

    def __init__(self, held: HeldFeatures, rows: Rows, *, width: int, latent: int) -> None:
        super().__init__()
        seen = held.features[0]
        self.seen = ChannelScale(seen, rows)
        self.teacher = Embedding(held.features[1:], rows, neighbourhood=1)
        inside, outside, grid = seen.shape[1], self.teacher.channels, self.teacher.grid
        source = (seen.shape[2], seen.shape[3])
        self.student = _student(source, grid, inside, 2 * outside, width)
        self.autoencoder = _autoencoder(source, grid, inside, outside, max(2, width // 2), latent)

    def predictions(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Teacher, student, the student's imitation of the autoencoder, autoencoder: each [n, c, h, w]."""
        seen = self.seen(features[0])
        student, imitation = self.student(seen).chunk(2, 1)
        return self.teacher(*features[1:]), student, imitation, self.autoencoder(seen)


class _Resized(nn.Module):
    """Bilinear, to this grid (height, width)."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, maps: Tensor) -> Tensor:
        if tuple(maps.shape[2:]) == self.grid:
            return maps
        return F.interpolate(maps, size=self.grid, mode="bilinear", align_corners=False)


def _student(source: Grid, grid: Grid, inside: int, outside: int, width: int) -> nn.Sequential:
    """Maps [n, inside, *source] → [n, outside, *grid], from 3×3 convolutions: nothing far away is seen."""
    halvings = max(0, round(math.log2(source[0] / grid[0])))
    widths = [inside, *([width] * (halvings + 2))]
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(widths)):
        layers += _convolved(before, after, stride=2 if place < halvings else 1)
    return nn.Sequential(*layers, _Resized(grid), nn.Conv2d(width, outside, 1))


def _autoencoder(
    source: Grid, grid: Grid, inside: int, outside: int, width: int, latent: int
) -> nn.Sequential:
    """Maps → code [n, latent] → [n, outside, *grid]: what fits the code, not every detail."""
    layers: list[nn.Module] = []
    here = source
    halvings = max(1, math.ceil(math.log2(max(source) / _CODE_GRID)))
    for place in range(halvings):
        layers += _convolved(width if place else inside, width, stride=2)
        here = (-(-here[0] // 2), -(-here[1] // 2))
    numbers = width * here[0] * here[1]
    layers += [nn.Flatten(), nn.Linear(numbers, latent), nn.Linear(latent, numbers)]
    layers += [nn.Unflatten(1, (width, *here)), nn.ReLU()]
    while here[0] < grid[0] or here[1] < grid[1]:
        here = (min(2 * here[0], grid[0]), min(2 * here[1], grid[1]))
        layers += [_Resized(here), *_convolved(width, width)]
    return nn.Sequential(*layers, _Resized(grid), nn.Conv2d(width, outside, 1))


def _convolved(before: int, after: int, *, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def student_learner(network: StudentTeacher, *, hard: float) -> Learner:
    """Student by its hardest values, autoencoder and imitation by the mean (the paper's equations 1 to 4).

    Parameters
    ----------
    hard : float
        Share of the squared differences, the largest ones of a batch, that train the student.
    """

    def parts(batch: Examples) -> tuple[Tensor, Tensor, Tensor]:
        teacher, student, imitation, whole = network.predictions(batch.features)
        # the student follows the autoencoder and not the other way round
        return (teacher - student) ** 2, (teacher - whole) ** 2, (whole.detach() - imitation) ** 2

    def training(batch: Examples) -> Tensor:
        local, whole, imitated = parts(batch)
        hardest = torch.topk(local.flatten(), max(1, round(hard * local.numel()))).values
        return hardest.mean() + whole.mean() + imitated.mean()

    def validation(batch: Examples) -> Tensor:
        return torch.stack([part.mean((1, 2, 3)) for part in parts(batch)]).sum(0)

    weights = [*network.student.parameters(), *network.autoencoder.parameters()]
    return Learner(network, [Player("loss", weights, training)], validation)


class DifferenceScorer(nn.Module):
    """Features → (image score [1, 1], map [1, h, w]).

    The two maps are brought to one scale by their quantiles on validation images and averaged.
    """

    limits: Tensor

    def __init__(self, network: StudentTeacher, size: Grid, *, sigma: float, top_share: float) -> None:
        super().__init__()
        self.top_share = top_share
        self.network = network
        self.enlarge = Smooth(network.teacher.grid, size, sigma)
        self.register_buffer("limits", torch.tensor([[0.0, 1.0], [0.0, 1.0]]))

    def learn_limits(self, held: HeldFeatures, rows: Rows) -> None:
        """Quantiles 0.9 and 0.995 of each map over these images."""
        step = -(-len(rows) * self.enlarge.rows.shape[0] * self.enlarge.columns.shape[1] // _PIXELS)
        with torch.no_grad():
            maps = [self.maps(held.tensor(np.array([row])).features).flatten(1)[:, ::step] for row in rows]
        values = torch.cat(maps, 1)
        for kind in range(2):
            low, high = torch.quantile(values[kind], torch.tensor([LOW, HIGH])).tolist()
            # maps that hardly vary are not blown up, nor the rounding in them
            self.limits[kind] = torch.tensor([low, max(high, _APART * low, 1e-6)])

    def maps(self, features: Sequence[Tensor]) -> Tensor:
        """Where student and teacher differ, and where imitation and autoencoder do: [2, h, w]."""
        teacher, student, imitation, whole = self.network.predictions(features)
        return self.enlarge(
            torch.cat([((teacher - student) ** 2).mean(1), ((whole - imitation) ** 2).mean(1)])
        )

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.limits[:, 0, None, None], self.limits[:, 1, None, None]
        joint = (0.1 * (self.maps(features) - low) / (high - low)).mean(0, keepdim=True)
        return image_score(joint, self.top_share), joint

"""Flows on feature maps: training and scoring (Yu et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anomalens.training.channel_scale import ChannelScale
from anomalens.training.coupling import Convolutions, Coupling, Flow
from anomalens.training.features import Examples, HeldFeatures
from anomalens.training.highest import image_score
from anomalens.training.learner import Learner, alone
from anomalens.training.pixel_errors import Smooth
from anomalens.training.split import Rows


class MapFlows(nn.Module):
    """One flow for each tap; 3×3 and 1×1 subnets take turns, as in the paper.

    Parameters
    ----------
    held : HeldFeatures
        Maps [c, h, w] of each tap.
    rows : int64
        Images that give the channels' scale.
    steps : int
        Couplings of each flow.
    hidden : float
        Channels within a subnet, as a share of those that enter it.
    """

    def __init__(self, held: HeldFeatures, rows: Rows, *, steps: int, hidden: float) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ChannelScale(features, rows) for features in held.features)
        self.flows = nn.ModuleList(
            _flow(features.shape[1], steps=steps, hidden=hidden) for features in held.features
        )

    def forward(self, *features: Tensor) -> list[Tensor]:
        """−log p at every position of every tap, each [n, h, w], in nats per channel."""
        return [
            flow(scale(values)) for values, scale, flow in zip(features, self.scales, self.flows, strict=True)
        ]


def _flow(channels: int, *, steps: int, hidden: float) -> Flow:
    def couplings(side: int) -> Coupling:
        return Coupling(
            channels,
            lambda a, b: Convolutions(a, b, hidden=max(4, round(hidden * a)), side=side),
        )

    return Flow(channels, [couplings(3 if step % 2 == 0 else 1) for step in range(steps)])


def flow_learner(flows: MapFlows) -> Learner:
    """Lower the mean −log p over positions and taps."""

    def loss(batch: Examples) -> Tensor:
        maps = flows(*batch.features)
        return torch.stack([values.mean((1, 2)) for values in maps]).mean(0)

    return alone(flows, loss)


class FlowScorer(nn.Module):
    """Features → (image score [1, 1], map [1, h, w]): of the mean of the enlarged maps."""

    def __init__(
        self,
        flows: MapFlows,
        grids: Sequence[tuple[int, int]],
        size: tuple[int, int],
        *,
        sigma: float,
        top_share: float,
    ) -> None:
        super().__init__()
        self.top_share = top_share
        self.flows = flows
        self.enlarge = nn.ModuleList(Smooth(grid, size, sigma) for grid in grids)

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        maps = [enlarge(m) for enlarge, m in zip(self.enlarge, self.flows(*features), strict=True)]
        joint = torch.stack(maps).mean(0)
        return image_score(joint, self.top_share), joint

"""Affine coupling layers: invertible maps whose density is known exactly (Dinh et al. 2017, RealNVP)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

# Scales stay between exp(−2) and exp(2), as in FastFlow and CS-Flow: one layer cannot blow a value up.
CLAMP: Final = 2.0

Subnet = Callable[[int, int], nn.Module]


class Coupling(nn.Module):
    """One half of the channels scales and shifts the other; then all channels change places.

        y₁ = x₁,   y₂ = x₂ · exp(s(x₁)) + t(x₁),   s = 2 · tanh(·/2)

    At first it changes nothing but the order: the last layer of the subnet begins at zero.

    Parameters
    ----------
    channels : int
    subnet : callable
        Channels in and out → a module whose last layer is its attribute `last`.
    """

    order: Tensor

    def __init__(self, channels: int, subnet: Subnet) -> None:
        super().__init__()
        self.first = channels // 2
        self.subnet = subnet(self.first, 2 * (channels - self.first))
        last = self.subnet.last
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.register_buffer("order", torch.randperm(channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 [n, c, …] → the same, and log |det J| at every position, [n, …]."""
        fixed, moved = x[:, : self.first], x[:, self.first :]
        s, t = self.subnet(fixed).chunk(2, 1)
        s = CLAMP * torch.tanh(s / CLAMP)
        y = torch.cat([fixed, moved * torch.exp(s) + t], 1)
        return y.index_select(1, self.order), s.sum(1)


class Flow(nn.Module):
    """Couplings one after another onto a standard normal density.

    Parameters
    ----------
    couplings : list of Coupling
    """

    def __init__(self, channels: int, couplings: list[Coupling]) -> None:
        super().__init__()
        self.channels = channels
        self.couplings = nn.ModuleList(couplings)

    def forward(self, x: Tensor) -> Tensor:
        """−log p(x) at every position in nats per channel: float32 [n, c, …] → [n, …]."""
        log_det = torch.zeros_like(x[:, 0])
        for coupling in self.couplings:
            x, scaled = coupling(x)
            log_det = log_det + scaled
        return (0.5 * (x * x).sum(1) - log_det) / self.channels + 0.5 * math.log(2 * math.pi)


class Convolutions(nn.Module):
    """Two convolutions with a ReLU between, [n, a, h, w] → [n, b, h, w]."""

    def __init__(self, inner: int, outer: int, *, hidden: int, side: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, hidden, side, padding=side // 2)
        self.last = nn.Conv2d(hidden, outer, side, padding=side // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


class Layers(nn.Module):
    """Two linear layers with a ReLU between, [n, a] → [n, b]."""

    def __init__(self, inner: int, outer: int, *, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(inner, hidden)
        self.last = nn.Linear(hidden, outer)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))

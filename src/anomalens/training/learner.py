"""What the loop trains: a module, and a loss for each player that has weights in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from anomalens.errors import SettingError

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Player:
    """Weights that are moved to lower one loss; adversarial methods have two players.

    Attributes
    ----------
    name : str
        What its curve is called.
    weights : sequence of parameters
        Only these are moved by its loss.
    loss : callable
        Batch [b, 3, h, w], 0–1 → scalar.
    every : int
        Takes part in every so many-th batch.
    """

    name: str
    weights: Sequence[nn.Parameter]
    loss: Loss
    every: int = 1


@dataclass
class Learner:
    """A module under training.

    Attributes
    ----------
    module : Module
        Holds all weights of all players; saved and restored as one.
    players : sequence of Player
    validation : callable
        Batch → float32 [b], the loss of each image by which training stops and weights are chosen; called
        without gradients, in evaluation mode, from the same random state each time.
    before_epoch : callable
        Called with the number of the epoch from 0, for what a method does between epochs.
    """

    module: nn.Module
    players: Sequence[Player]
    validation: Loss
    before_epoch: Callable[[int], None] = field(default=lambda epoch: None)


def alone(module: nn.Module, loss: Callable[[Tensor], Tensor]) -> Learner:
    """A learner of one player whose loss is the mean of `loss`, float32 [b]."""

    def mean(batch: Tensor) -> Tensor:
        return loss(batch).mean()

    return Learner(module, [Player("loss", list(module.parameters()), mean)], loss)


def frozen(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, its weights never moved."""
    for weight in module.parameters():
        weight.requires_grad_(False)
    return module.eval()


def device_of(name: str) -> torch.device:
    """The device of that name; `auto` takes a GPU where torch has one; SettingError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise SettingError(f"Torch has no device {name!r:.40} here; give auto or cpu.") from None
    return device

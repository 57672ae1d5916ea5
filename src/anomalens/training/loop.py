"""The one training loop: seeded, stopped by held-out normal images, resumable.

Every epoch draws its order, its changes of images and its noise from the seed and the epoch's number alone,
so that a run that was killed and resumed ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from anomalens.errors import SettingError
from anomalens.progress import Progress, silent
from anomalens.training.checkpoint import Checkpoint, State
from anomalens.training.images import Batches
from anomalens.training.learner import Learner, Player, device_of
from anomalens.training.plan import History, Plan
from anomalens.training.split import Rows

_LAST_RATE: Final = 0.01  # of the learning rate, at the end of the cosine


class Diverged(SettingError):
    """A loss is no finite number."""


@dataclass(frozen=True)
class _Run:
    """What stays the same from epoch to epoch."""

    learner: Learner
    images: Batches
    train_rows: Rows
    validation_rows: Rows
    plan: Plan
    seed: int
    device: torch.device
    optimisers: list[torch.optim.Optimizer]

    def epoch(self, number: int, state: State) -> None:
        """Learn from each image once, and see what that was good for; Diverged where a loss is no number."""
        _set_rates(self.optimisers, self.plan, number)
        self._learn(number, state)
        loss = self._validation_loss(number)
        state.curves.setdefault("validation loss", []).append(loss)
        if loss < state.best_loss:
            state.best_loss, state.best_epoch = loss, number + 1
            state.weights = _copy(self.learner.module)
        state.done = number + 1

    def _learn(self, number: int, state: State) -> None:
        learner, plan = self.learner, self.plan
        learner.module.train()
        learner.before_epoch(number)
        torch.manual_seed(_mixed(self.seed, number))
        order = np.random.default_rng([self.seed, number])
        sums = [0.0] * len(learner.players)
        counts = [0] * len(learner.players)
        batches = self.images.batches(
            self.train_rows, plan.batch_size, order=order, augmentation=plan.augmentation
        )
        for batch in batches:
            on_device = batch.to(self.device)
            for place, player in enumerate(learner.players):
                if state.batches % player.every == 0:
                    sums[place] += self._step(player, self.optimisers[place], on_device)
                    counts[place] += 1
            state.batches += 1
        for player, total, count in zip(learner.players, sums, counts, strict=True):
            curve = state.curves.setdefault(f"training {player.name}", [])
            mean = total / count if count else curve[-1]  # everyone plays in the very first batch
            curve.append(self._finite(mean, f"{player.name} of training", number))

    def _validation_loss(self, number: int) -> float:
        self.learner.module.eval()
        torch.manual_seed(_mixed(self.seed, -1))  # the same noise in every epoch: losses can be compared
        with torch.no_grad():
            values = [
                self.learner.validation(batch.to(self.device)).float().cpu()
                for batch in self.images.batches(self.validation_rows, self.plan.batch_size)
            ]
        return self._finite(float(torch.cat(values).mean()), "validation loss", number)

    def _step(self, player: Player, optimiser: torch.optim.Optimizer, batch: Tensor) -> float:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.plan.bfloat16):
            loss = player.loss(batch)
        # every other player's gradients are thrown away before its own step
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.plan.clip:
            nn.utils.clip_grad_norm_(player.weights, self.plan.clip)
        optimiser.step()
        return float(loss.detach().item())

    def _finite(self, loss: float, what: str, number: int) -> float:
        if not math.isfinite(loss):
            raise Diverged(
                f"The {what} is no finite number in epoch {number + 1}; lower learning_rate "
                f"(now {self.plan.learning_rate:g}) or set another precision."
            )
        return loss


@dataclass
class Epoch:
    """One step of the progress bar; what it says of itself is the loss so far."""

    number: int
    report: str = ""


def train(
    learner: Learner,
    images: Batches,
    *,
    train_rows: Rows,
    validation_rows: Rows,
    plan: Plan,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    progress: Progress = silent,
) -> History:
    """Train until the epochs are used up or the validation loss has stopped to fall.

    Afterwards the learner's module holds the weights of the epoch with the lowest validation loss, on the
    CPU, in evaluation mode.

    Parameters
    ----------
    learner : Learner
    images : Batches
        Such as `HeldImages`.
    train_rows, validation_rows : int64
        Which images are learnt from, and which decide when to stop and what to keep.
    plan : Plan
    seed : int
        The same images, seed, plan and number of threads give the same weights, bit for bit, on one
        machine with a CPU.
    checkpoint : Checkpoint, optional
        Where the run is kept, and gone on with if it was kept before.

    Raises
    ------
    Diverged
        A loss is no number before any weights were kept; later ones end the training.
    """
    device = device_of(plan.device)
    module = learner.module.to(device)
    optimisers = [_optimiser(player, plan) for player in learner.players]
    run = _Run(learner, images, train_rows, validation_rows, plan, seed, device, optimisers)
    kept = None if checkpoint is None else checkpoint.resume(module, optimisers)
    state = kept or State(_copy(module))
    diverged = ""
    steps = (Epoch(number, _report(state)) for number in range(state.done, plan.epochs))
    for step in progress(steps, label="training", total=plan.epochs - state.done):
        if plan.patience and state.done - state.best_epoch >= plan.patience:
            break
        try:
            run.epoch(step.number, state)
        except Diverged as error:
            if not state.best_epoch:
                raise
            diverged = str(error)
            break
        if checkpoint is not None:
            checkpoint.keep(module, optimisers, state)
    module.load_state_dict(state.weights)
    module.to("cpu").eval()
    if checkpoint is not None and not diverged:
        checkpoint.finish(module, optimisers, state)
    return History(state.curves, state.best_epoch, diverged)


def _optimiser(player: Player, plan: Plan) -> torch.optim.Optimizer:
    weights = list(player.weights)
    if plan.optimiser == "adadelta":
        return torch.optim.Adadelta(
            weights, lr=plan.learning_rate, rho=0.95, eps=1e-7, weight_decay=plan.weight_decay
        )
    if plan.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=plan.learning_rate, momentum=0.9, weight_decay=plan.weight_decay)
    betas = (0.5, 0.999) if player.name != "loss" else (0.9, 0.999)  # adversaries forget sooner (DCGAN)
    return torch.optim.AdamW(weights, lr=plan.learning_rate, betas=betas, weight_decay=plan.weight_decay)


def _set_rates(optimisers: list[torch.optim.Optimizer], plan: Plan, epoch: int) -> None:
    if plan.schedule != "cosine":
        return
    share = (1 + math.cos(math.pi * epoch / max(plan.epochs, 1))) / 2
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = plan.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * share)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch + 1]).generate_state(1)[0])


def _report(state: State) -> str:
    if not state.done:
        return ""
    return f"validation loss {state.curves['validation loss'][-1]:.4g}, best {state.best_loss:.4g}"

"""How a network is trained: numbers only, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from anomalens.images.augment import Augmentation

OPTIMISERS = ("adam", "adadelta", "sgd")
SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Plan:
    """One training run.

    Attributes
    ----------
    epochs : int
        At most so many passes over the training images.
    batch_size : int
    learning_rate : float
    optimiser : "adam", "adadelta" or "sgd" (with momentum 0.9)
    weight_decay : float
        Added to the gradients, not by "adam", which decays the weights themselves (AdamW).
    schedule : "cosine" or "constant"
        The learning rate falls to a hundredth along a half cosine, or stays.
    patience : int
        Training stops after so many epochs without a lower validation loss; 0 never stops.
    clip : float
        Largest norm of the gradient of one player; 0 does not clip.
    augmentation : Augmentation or None
        Changes drawn anew for every image in every epoch.
    bfloat16 : bool
        Products in bfloat16 where the processor has them; the weights stay float32.
    device : "auto", "cpu" or a name that torch knows
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-3
    optimiser: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "cosine"
    patience: int = 20
    clip: float = 1.0
    augmentation: Augmentation | None = None
    bfloat16: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class History:
    """What happened: losses per epoch by name, the epoch (from 1) whose weights were kept, and in a sentence
    why training ended early where a loss was no number."""

    curves: dict[str, list[float]]
    best_epoch: int
    diverged: str = ""

    @property
    def epochs(self) -> int:
        return max((len(values) for values in self.curves.values()), default=0)

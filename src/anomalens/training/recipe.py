"""How a classifier is trained: words and numbers only, no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """See `anomalens.detectors.classifier.settings` for what each may be."""

    train: str
    recipe: str = "plain"
    backbone: str = "efficientnet-lite0"
    epochs: int = 0
    batch_size: int = 64
    learning_rate: float = 0.0
    augment: str = "flip,crop"
    loss: str = "plain"
    smoothing: float = 0.0
    balance: bool = False
    width: int = 32
    side: int = 0
    held_out: float = 0.1
    bfloat16: bool = False

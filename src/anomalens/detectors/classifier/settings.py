"""The parameters of the detector `classifier`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from anomalens.detectors.classifier.scores import SCORES
from anomalens.detectors.contract import parameter
from anomalens.detectors.features.extractor import FeatureSettings, check_choice

HEADS: Final = ("linear", "mlp")
FROZEN: Final = "frozen"
TRAININGS: Final = (FROZEN, "cnn", "residual", "tune", "tune-all")
RECIPES: Final = ("plain", "logitnorm", "pixmix", "rotpred")
LOSSES: Final = ("plain", "focal", "adjusted")
STRENGTHS: Final = (0.0003, 0.001, 0.003, 0.01, 0.03)  # tried where nobody chose one


@dataclass(frozen=True)
class ClassifierSettings(FeatureSettings):
    """What sees the images, what tells the classes apart, and what finds pictures of none of them."""

    auto_scaling: ClassVar[str] = "standardise"
    train: str = parameter(
        FROZEN,
        "frozen (a backbone's features stay as they are, no torch needed); cnn, residual (from scratch); "
        "tune, tune-all (a backbone's last third, or all of it)",
    )
    recipe: str = parameter(
        "plain", "how a network is trained: plain, logitnorm, pixmix, rotpred, or several with + between"
    )
    epochs: int = parameter(0, "passes over the images; 0: 40 from scratch, 8 for tuning", limits=(0, 10**5))
    batch_size: int = parameter(64, "images per step", limits=(2, 4096))
    learning_rate: float = parameter(0.0, "size of the steps; 0: what suits the network", limits=(0.0, 10.0))
    augment: str = parameter(
        "flip,crop", "changes while training: flip, crop, rotate, shear, colour, rand, mixup, cutmix"
    )
    loss: str = parameter("plain", "plain (cross-entropy), focal, or adjusted by how usual a class is")
    smoothing: float = parameter(0.0, "of labels while training", limits=(0.0, 0.5))
    width: int = parameter(32, "channels of the first layer, from scratch", limits=(4, 256))
    side: int = parameter(0, "networks see images of this side, in pixels; 0: as prepared", limits=(0, 1024))
    held_out: float = parameter(
        0.1, "share of the images that a trained network is judged by", limits=(0.05, 0.5)
    )
    bfloat16: bool = parameter(False, "train with products in bfloat16: faster where the processor has it")
    head: str = parameter("linear", "on frozen features: linear or mlp (one hidden layer)")
    hidden: int = parameter(256, "for mlp: units of the hidden layer", limits=(1, 4096))
    strength: float = parameter(
        0.0,
        "inverse of the head's L2 penalty, C of logistic regression; 0: of five the one that names left-out "
        "images most surely",
        limits=(0.0, 1e4),
    )
    balance: bool = parameter(
        False, "whether every class weighs the same in training, however many images it has"
    )
    score: str = parameter("vim", f"what finds pictures of no class: {', '.join(SCORES)}")
    temperature: float = parameter(
        0.0,
        "logits are divided by it before the confidence; 0: what suits left-out images",
        limits=(0.0, 100.0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("head", self.head, HEADS)
        check_choice("train", self.train, TRAININGS)
        check_choice("loss", self.loss, LOSSES)
        for part in self.recipe.split("+"):
            check_choice("recipe", part, RECIPES)
        check_choice("score", self.score, tuple(SCORES))

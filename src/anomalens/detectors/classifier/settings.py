"""The parameters of the detector `classifier`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from anomalens.detectors.classifier.scores import SCORES
from anomalens.detectors.contract import parameter
from anomalens.detectors.features.extractor import FeatureSettings, check_choice

HEADS: Final = ("linear", "mlp")
FROZEN: Final = "frozen"
STRENGTHS: Final = (0.0003, 0.001, 0.003, 0.01, 0.03)  # tried where nobody chose one


@dataclass(frozen=True)
class ClassifierSettings(FeatureSettings):
    """What sees the images, what tells the classes apart, and what finds pictures of none of them."""

    auto_scaling: ClassVar[str] = "standardise"
    train: str = parameter(
        FROZEN,
        "frozen (a backbone's features stay as they are, no torch needed); other names train a network",
    )
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
        check_choice("score", self.score, tuple(SCORES))

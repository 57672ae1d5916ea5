"""The choice of features, as parameters that all image-level detectors share.

An extractor learns nothing from the images that a detector learns from: what is learnt of them
(standardisation, principal axes) is the `FeatureSpace`, part of a detector's fit, so that left-out images are
left out of it too. `latent` trains a network on half of the images, and the detector sees the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.errors import unknown_name
from anomalens.images.arrays import Pixels

KINDS: Final = ("pretrained", "pixels", "texture", "latent")
SCALINGS: Final = ("auto", "none", "standardise", "whiten")
# Principal components of pixels that are kept unless asked otherwise: neighbouring pixels repeat each other.
PIXEL_COMPONENTS: Final = 64

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureGroup:
    """A named range of features, for explanations."""

    name: str
    start: int
    stop: int


class Extractor(Protocol):
    """Prepared image → float32 [d]; the same image gives the same vector, whatever came before."""

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """Ranges that cover all d features."""

    def __call__(self, image: Pixels) -> Floats: ...

    def numbers(self) -> dict[str, Any]:
        """What rebuilds it, for the state; its identity in the cache as well."""

    def graphs(self) -> dict[str, bytes]:
        """Its ONNX graphs, for the state."""


@dataclass(frozen=True)
class FeatureSettings(Settings):
    """Which features a detector sees."""

    features: str = parameter(
        "pretrained",
        "pretrained (a network's layers, pooled), pixels (small picture), texture (handcrafted) or latent "
        "(code of an autoencoder that is trained on half of the images)",
    )
    backbone: str = parameter(
        "efficientnet-lite0", "for pretrained: a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "for pretrained: layers, comma-separated; default: those at 1/4 to 1/32"
    )
    statistics: tuple[str, ...] = parameter(
        (), "for pretrained: of mean, std, gem; default: mean and std, of the coarsest layer the mean"
    )
    pixel_size: int = parameter(16, "for pixels: side of the small picture, in pixels", limits=(2, 128))
    colour: bool = parameter(True, "for pixels: red, green and blue instead of grey")
    latent: int = parameter(64, "for latent: numbers of the code", limits=(1, 4096))
    latent_epochs: int = parameter(100, "for latent: epochs of training, at most", limits=(1, 10**5))
    mirror: bool = parameter(False, "average over the image and its mirror image; twice the time")
    scaling: str = parameter(
        "auto", "none, standardise (each feature by its deviation), whiten (and decorrelated) or auto"
    )
    components: int = parameter(
        0, "principal components that are kept; 0: all, and 64 of pixels", limits=(0, 4096)
    )
    auto_scaling: ClassVar[str] = "standardise"
    memory_mb: int = parameter(1000, "budget for features while fitting, in MB", limits=(16, 10**6))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("kind of features", self.features, KINDS)
        check_choice("scaling", self.scaling, SCALINGS)

    @property
    def used_scaling(self) -> str:
        """What `auto` means: pixels have one scale already, other features need their own."""
        if self.scaling != "auto":
            return self.scaling
        return "none" if self.features == "pixels" else self.auto_scaling

    @property
    def kept_components(self) -> int:
        """Principal components that are kept; 0 for the features themselves."""
        return PIXEL_COMPONENTS if not self.components and self.features == "pixels" else self.components


def check_choice(kind: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not in the list; suggests the nearest."""
    if value not in known:
        raise unknown_name(kind, value, known)

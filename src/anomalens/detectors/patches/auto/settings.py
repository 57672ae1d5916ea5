"""Parameters of `auto`."""

from __future__ import annotations

from dataclasses import dataclass

from anomalens.detectors.contract import parameter
from anomalens.detectors.patches.views.image_components import COMPONENTS
from anomalens.detectors.patches.views.memory import BankSettings


@dataclass(frozen=True)
class AutoSettings(BankSettings):
    """Parameters of auto."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers that patches come from, comma-separated; default: those at 1/8 and 1/16"
    )
    layout: float = parameter(1.0, "weight of the layout view in the image's score", limits=(0.0, 10.0))
    context: float = parameter(0.5, "weight of the context view, from 200 groups on", limits=(0.0, 10.0))
    fine: bool = parameter(True, "let the map have a share of patches on a finer grid")
    dimensions: int = parameter(64, "principal axes of the detail view", limits=(1, 512))
    components: int = parameter(
        COMPONENTS, "principal components of images that detail and layout take off", limits=(0, 512)
    )
    max_images: int = parameter(500, "images that detail and layout learn from", limits=(2, 5000))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))

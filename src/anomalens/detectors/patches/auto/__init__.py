"""auto, the default detector: views of an image from one pass of a network, weighted by evidence."""

from anomalens.detectors.patches.auto.detector import Auto
from anomalens.detectors.patches.auto.settings import AutoSettings

__all__ = ["Auto", "AutoSettings"]

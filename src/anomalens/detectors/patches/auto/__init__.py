"""auto, the default detector: views of an image from one pass of a network, weighted by evidence."""

from anomalens.detectors.patches.auto.detector import Auto, AutoSettings

__all__ = ["Auto", "AutoSettings"]

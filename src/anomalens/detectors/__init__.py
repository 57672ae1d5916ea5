"""One file per method, in folders by the field's own families; the contract they share."""

from anomalens.detectors.contract import Batch, Detector, Scores, State
from anomalens.detectors.registry import detector_names, load_detector

__all__ = ["Batch", "Detector", "Scores", "State", "detector_names", "load_detector"]

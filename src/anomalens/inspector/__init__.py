"""The inspector: preprocessing, detector and calibration as one thing that is fitted, saved and asked."""

from anomalens.inspector.finding import Finding
from anomalens.inspector.inspector import Inspector

__all__ = ["Finding", "Inspector"]

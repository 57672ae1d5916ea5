"""The inspector: preprocessing, detector and calibration as one thing that is fitted, saved and asked."""

from typing import TYPE_CHECKING

from anomalens.on_demand import on_demand

if TYPE_CHECKING:
    from anomalens.inspector.classifier import Classifier
    from anomalens.inspector.finding import Finding
    from anomalens.inspector.fit_options import FitOptions
    from anomalens.inspector.inspector import Inspector

__all__ = ["Classifier", "Finding", "FitOptions", "Inspector"]

# help texts are made of the options of a fit, and load nothing else
__getattr__ = on_demand(
    __name__,
    {"classifier": "Classifier", "finding": "Finding", "fit_options": "FitOptions", "inspector": "Inspector"},
)

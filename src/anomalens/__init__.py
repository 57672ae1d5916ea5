"""Anomalens: show it normal pictures; it flags, locates and explains what does not belong.

>>> from anomalens import Inspector
>>> inspector = Inspector.fit("photos/normal")              # doctest: +SKIP
>>> for finding in inspector.check("photos/new"):           # doctest: +SKIP
...     print(finding.image, finding.anomalous, finding.p_value)

Public names are loaded when first used, so `import anomalens` itself costs almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anomalens.on_demand import on_demand

if TYPE_CHECKING:
    from anomalens.calibration import Calibration, Policy, Region
    from anomalens.detectors import Batch, Detector, Scores, State, detector_names, load_detector
    from anomalens.detectors.spec import DetectorSpec
    from anomalens.errors import AnomalensError, AnomalensWarning, InputError
    from anomalens.images import Augmentation, ImageSet, Preprocessing
    from anomalens.inspector import Classifier, Finding, Inspector

__all__ = [
    "AnomalensError",
    "AnomalensWarning",
    "Augmentation",
    "Batch",
    "Calibration",
    "Classifier",
    "Detector",
    "DetectorSpec",
    "Finding",
    "ImageSet",
    "InputError",
    "Inspector",
    "Policy",
    "Preprocessing",
    "Region",
    "Scores",
    "State",
    "__version__",
    "detector_names",
    "load_detector",
]

__version__ = "0.1.0"


__getattr__ = on_demand(
    __name__,
    {
        "calibration": "Calibration Policy Region",
        "detectors": "Batch Detector Scores State detector_names load_detector",
        "detectors.spec": "DetectorSpec",
        "errors": "AnomalensError AnomalensWarning InputError",
        "images": "Augmentation ImageSet Preprocessing",
        "inspector": "Classifier Finding Inspector",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""How the seed projects' classifiers are fitted, as records of options."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from anomalens.errors import unknown_name
from anomalens.inspector.fit_options import FitOptions

CLASSIFIER: Final = "classifier"

PRESETS: Final[dict[str, FitOptions]] = {
    "cifar10": FitOptions(detector=CLASSIFIER, parameters={"mirror": True}),
    "emotions": FitOptions(detector=CLASSIFIER, parameters={"mirror": True, "balance": True}),
    "defects": FitOptions(detector=CLASSIFIER, parameters={"balance": True}),
}


def with_preset(name: str | None, options: FitOptions, chosen: dict[str, Any]) -> FitOptions:
    """Options of a classifier: those of a preset, and over them what was chosen by name.

    Raises
    ------
    SettingError
        The preset is unknown; the nearest is suggested.
    """
    if name is not None and name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    base = FitOptions(detector=CLASSIFIER) if name is None else PRESETS[name]
    parameters = {**base.parameters, **options.parameters, **chosen}
    return replace(options, detector=CLASSIFIER, parameters=parameters)

"""Scores of what belongs to no class by name, one file each."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from anomalens.detectors.classifier.outputs import OodScore
from anomalens.errors import unknown_name

SCORES: Final = {
    "msp": "msp:MaxSoftmax",
}


def load_score(name: str) -> type[OodScore]:
    """The class of a score.

    Raises
    ------
    SettingError
        The name is unknown; the nearest is suggested.
    """
    if name not in SCORES:
        raise unknown_name("score", name, SCORES)
    module, _, attribute = SCORES[name].partition(":")
    found: type[OodScore] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found

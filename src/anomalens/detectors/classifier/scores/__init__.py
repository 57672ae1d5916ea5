"""Scores of what belongs to no class by name, one file each."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from anomalens.detectors.classifier.outputs import OodScore
from anomalens.errors import unknown_name

SCORES: Final = {
    "msp": "msp:MaxSoftmax",
    "max-logit": "max_logit:MaxLogit",
    "energy": "energy:Energy",
    "odin": "odin:Odin",
    "gen": "gen:GeneralisedEntropy",
    "kl-matching": "kl_matching:KlMatching",
    "react": "react:RectifiedActivations",
    "mahalanobis": "mahalanobis:Mahalanobis",
    "relative-mahalanobis": "relative_mahalanobis:RelativeMahalanobis",
    "knn-ood": "knn_ood:NearestNeighbours",
    "vim": "vim:VirtualLogit",
    "nci": "nci:NeuralCollapse",
    "fdbd": "fdbd:BoundaryDistance",
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

"""Detectors by name: ours and those that other packages announce as entry points."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from anomalens.detectors.contract import Detector
from anomalens.errors import SettingError, unknown_name

GROUP: Final = "anomalens.detectors"

# name -> where; a table and not an import, so that listing names loads nothing
OURS: Final = {
    "auto": "anomalens.detectors.patches.auto:Auto",
    "patchcore": "anomalens.detectors.patches.patchcore:PatchCore",
    "softpatch": "anomalens.detectors.patches.softpatch:SoftPatch",
    "padim": "anomalens.detectors.patches.padim:PaDiM",
    "template": "anomalens.detectors.patches.template:Template",
    "spade": "anomalens.detectors.patches.spade:Spade",
    "dictionary": "anomalens.detectors.patches.dictionary:Dictionary",
    "texture-patches": "anomalens.detectors.patches.texture_patches:TexturePatches",
    "fastflow": "anomalens.detectors.patches.fastflow:FastFlow",
    "simplenet": "anomalens.detectors.patches.simplenet:SimpleNet",
    "student-teacher": "anomalens.detectors.patches.student_teacher:StudentTeacher",
    "gaussian": "anomalens.detectors.density.gaussian:Gaussian",
    "knn": "anomalens.detectors.density.knn:Knn",
    "kde": "anomalens.detectors.density.kde:Kde",
    "gmm": "anomalens.detectors.density.gmm:Gmm",
    "pca": "anomalens.detectors.density.pca:Pca",
    "flow": "anomalens.detectors.density.flow:VectorFlow",
    "ocsvm": "anomalens.detectors.oneclass.ocsvm:Ocsvm",
    "iforest": "anomalens.detectors.oneclass.iforest:Iforest",
    "lof": "anomalens.detectors.oneclass.lof:Lof",
    "deep-svdd": "anomalens.detectors.oneclass.deep_svdd:DeepSvdd",
    "rotnet": "anomalens.detectors.selfsupervised.rotnet:RotNet",
    "cutpaste": "anomalens.detectors.selfsupervised.cutpaste:CutPaste",
    "motion": "anomalens.detectors.motion.motion:Motion",
    "cae": "anomalens.detectors.reconstruction.cae:Cae",
    "cae-kde": "anomalens.detectors.reconstruction.cae_kde:CaeKde",
    "vae": "anomalens.detectors.reconstruction.vae:Vae",
    "vae-gan": "anomalens.detectors.reconstruction.vae_gan:VaeGan",
    "f-anogan": "anomalens.detectors.reconstruction.f_anogan:FAnoGan",
    "classifier": "anomalens.detectors.classifier.classifier:Classifier",
    "ganomaly": "anomalens.detectors.reconstruction.ganomaly:Ganomaly",
}


def detector_names() -> list[str]:
    """All names that `load_detector` knows, ours first."""
    theirs = {point.name for point in entry_points(group=GROUP)} - OURS.keys()
    return [*OURS, *sorted(theirs)]


def load_detector(name: str) -> type[Detector]:
    """The class of a detector; `DetectorSpec` also knows those that are made of others.

    Raises
    ------
    SettingError
        The name is unknown (the nearest is suggested), or another package's detector fails to load.
    """
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        found: type[Detector] = getattr(import_module(module), attribute)
        return found
    for point in entry_points(group=GROUP):
        if point.name == name:
            try:
                loaded = point.load()
            except Exception as error:  # another package's import can fail in any way
                raise SettingError(
                    f"The detector {name!r} from {point.value} failed to load: {error}"
                ) from error
            if not (isinstance(loaded, type) and issubclass(loaded, Detector)):
                raise SettingError(f"{point.value} is no anomalens.detectors.contract.Detector.")
            return loaded
    if ":" in name:
        raise SettingError(
            f"The detector {name!r:.80} is made of others and has no class of its own; make it with "
            "DetectorSpec.parse(NAME).make()."
        )
    raise unknown_name("detector", name, detector_names())

"""What a model's card says of how the model was made."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any, Final

from anomalens.calibration.conformal import MIN_GROUPS
from anomalens.errors import AnomalensWarning, InputError
from anomalens.images.image_set import ImageSet
from anomalens.images.steps import UsedBits
from anomalens.inspector.training_set import TrainingSet

FEW_IMAGES: Final = 10
# Hashes of the training images let later calibration leave them out; above this many they are not kept.
MAX_HASHES: Final = 200_000


def warn_about(training: TrainingSet) -> None:
    n = len(training.images)
    found = []
    if training.problems:
        found.append(
            f"{len(training.problems)} of {n + len(training.problems)} images cannot be read and are left "
            f"out; the first: {training.problems[0]}"
        )
    if training.images.ignored:
        found.append(
            f"{len(training.images.ignored)} files are no images and are left out, "
            f"for example {training.images.ignored[0]}."
        )
    if training.images.left_out:
        found.append(f"Left out: {training.images.left_out_in_words}.")
    if MIN_GROUPS <= n < FEW_IMAGES:
        found.append(f"{n} normal images are very few; {FEW_IMAGES} or more give steadier verdicts.")
    if training.n_groups < n:
        found.append(
            f"{n} images form {training.n_groups} groups (copies, near copies, frames of a film or declared "
            "groups); a group is left out as a whole when calibrating. Where none should be found: --groups "
            "declared."
        )
    if len(set(training.captures)) == 1:
        found.append(
            f"All normal images are of one capture ({training.captures[0]}), and nothing tells how much "
            "another day or camera differs; add normal images of another one here, or later with  anomalens "
            "calibrate --add."
        )
    if unnamed := sum(not name for name in training.captures):
        found.append(f"{unnamed} of {n} images name no capture; they count as one of their own.")
    if training.odd_sizes:
        found.append(
            f"{len(training.odd_sizes)} of {n} images have another size than the rest, for example "
            f"{training.odd_sizes[0]}; check that they belong here."
        )
    if training.highest is not None and (hint := UsedBits.hint(training.highest)):
        found.append(hint)
    for text in found:
        warnings.warn(text, AnomalensWarning, stacklevel=3)


def data_card(training: TrainingSet) -> dict[str, Any]:
    hashes = sorted({short_hash(training.images, i) for i in range(len(training.images))})
    return {
        "n_images": len(training.images),
        "n_groups": training.n_groups,
        "n_captures": len(set(training.captures)),
        "n_unreadable": len(training.problems),
        "sha256": training.images.data_sha256(),
        "image_hashes": hashes if len(hashes) <= MAX_HASHES else [],
    }


def short_hash(images: ImageSet, index: int) -> str:
    try:
        return images.sha256(index)[:16]
    except InputError:
        return ""


def plain_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """A detector's settings as plain data; of a user's network the name, not the place on their disk."""
    found = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    for key, value in values.items():
        if key.rpartition(".")[2] == "backbone" and isinstance(value, str):
            found[key] = Path(value).name
    return found


def without_folders(note: str, images: ImageSet) -> str:
    """A note without the folders of absolute names: where its maker keeps pictures is nobody's business."""
    names = [*images.ignored, *images.left_out, *(entry.id for entry in (*images, *images.references))]
    folders = {str(PurePath(name).parent) for name in names if PurePath(name).is_absolute()}
    for folder in sorted(folders, key=len, reverse=True):  # the folders inside of others first
        note = note.replace(f"{folder}/", "")
    return note


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("anomalens", "numpy", "pillow", "onnxruntime", "openvino"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

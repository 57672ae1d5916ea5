"""Arguments that name images: each a file, folder, pattern or manifest; several are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anomalens.errors import ImageSetError
    from anomalens.images import ImageSet


def image_set(arguments: Sequence[str], *, normal: bool = False, labelled: bool = False) -> ImageSet:
    """All images that the arguments name; raises for an argument that names none.

    `normal` takes the normal training images only of a folder that is laid out as a dataset, and of a
    manifest, unless `labelled` keeps the anomalies of manifests too.
    """
    from anomalens.images import ImageSet, normal_images

    if len(arguments) == 1:
        manifest = Path(arguments[0]).suffix.lower() == ".csv"
        if normal and not (labelled and manifest):
            return normal_images(arguments[0])
        return ImageSet.open(arguments[0])
    images, problems = usable_images(arguments, normal=normal, labelled=labelled)
    if problems:
        raise problems[0]
    return images


def dataset_layout(arguments: Sequence[str]) -> str | None:
    """How the one folder that was given is laid out, in a sentence; None where all of it is taken."""
    from anomalens.images import recognise

    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        return None
    layout = recognise(arguments[0])
    return None if layout.kind == "flat" else layout.sentence


def usable_images(
    arguments: Sequence[str], *, normal: bool = False, labelled: bool = False
) -> tuple[ImageSet, list[ImageSetError]]:
    """The images of the arguments that name some, and what is wrong with the other arguments.

    A file that does not exist is not wrong here: it becomes an image that cannot be read, so that
    it gets a line of its own among the answers.

    Raises
    ------
    ImageSetError
        When no argument names any image.
    """
    from anomalens.errors import ImageSetError
    from anomalens.images import ImageSet

    alone = len(arguments) == 1
    parts: list[ImageSet] = []
    problems: list[ImageSetError] = []
    for argument in arguments:
        try:
            parts.append(_open(argument, alone=alone, normal=normal, labelled=labelled))
        except ImageSetError as error:
            problems.append(error)
    if not parts:
        raise problems[0]
    if len(parts) == 1:
        return parts[0], problems
    return replace(ImageSet.concatenate(parts), origin=f"{len(arguments)} arguments"), problems


def _open(argument: str, *, alone: bool, normal: bool, labelled: bool) -> ImageSet:
    from anomalens.images import ImageSet, normal_images

    path = Path(argument)
    if path.is_dir():
        if alone:
            return normal_images(path) if normal else ImageSet.open(path)
        found = normal_images(path) if normal else ImageSet.open(path)
        return found.below(found.origin)  # so that a.png of two folders stay apart
    if path.suffix.lower() == ".csv":
        return normal_images(path) if normal and not labelled else ImageSet.from_manifest(path)
    if path.exists() or not any(sign in argument for sign in "*?["):
        return ImageSet.from_paths([path])
    found = ImageSet.from_glob(argument)
    if alone:
        return found
    paths = dict.fromkeys(entry.file for entry in found if entry.file is not None)
    return replace(ImageSet.from_paths(list(paths)), ignored=found.ignored)

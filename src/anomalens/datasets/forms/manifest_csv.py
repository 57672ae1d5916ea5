"""A CSV manifest as a dataset: labels in `label`, train or test in `split` where that column exists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anomalens.datasets.forms.folders import unsplit_classes
from anomalens.datasets.splitting import split_normals
from anomalens.datasets.task import Classes, Contents, Form, Split
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import NORMAL
from anomalens.images.manifest import read_manifest


def read_labelled_manifest(file: Path, seed: int) -> Contents:
    """Read a manifest whose every line has a label.

    Raises
    ------
    ImageSetError
        When a label is missing, or a line's split is neither train nor test.
    """
    splits = {row.path: row.split for row in read_manifest(file)}
    images = ImageSet.from_manifest(file)
    bare = next((entry.id for entry in images if entry.label is None), None)
    if bare is not None:
        raise ImageSetError(
            f"The manifest {file} gives no label for {bare}; a dataset needs one on every line (good for "
            "normal)."
        )
    normal = any(entry.verdict == NORMAL for entry in images)
    if not any(splits.values()):
        if not normal:
            return unsplit_classes(images, seed=seed)
        return split_normals(images, seed=seed)
    train, test = (
        replace(images, entries=tuple(e for e in images if e.file is not None and splits.get(e.file) == part))
        for part in ("train", "test")
    )
    bare_splits = len(images) - len(train) - len(test)
    if bare_splits:
        raise ImageSetError(
            f"The manifest {file} gives no split for {bare_splits} images; write train or test on every "
            "line, or leave the column out."
        )
    if not normal:
        names = tuple(sorted({entry.class_name or "" for entry in images}))
        return Classes(names, train, test)
    kept = replace(train, entries=tuple(entry for entry in train if entry.verdict == NORMAL))
    left_out = len(train) - len(kept)
    notes = (f"{left_out} anomalous training images are not used.",) if left_out else ()
    return (Split(None, kept, test, notes),)


MANIFEST = Form(
    "CSV manifest with path, label, and optionally split, mask, group",
    lambda root: root.suffix.lower() == ".csv" and root.is_file(),
    read_labelled_manifest,
)

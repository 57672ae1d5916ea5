"""The normal images to learn from, and the images to test, of a folder that is laid out as a dataset."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from anomalens.errors import ImageSetError
from anomalens.images.files import find_files
from anomalens.images.folder_names import is_good
from anomalens.images.image_entry import ImageEntry, file_entries
from anomalens.images.image_set import MARKED, ImageSet
from anomalens.images.labels import ANOMALOUS, GOOD, NORMAL
from anomalens.images.layout import BY_MASK, Layout, holds_images, masks_below, recognise
from anomalens.images.manifest import read_manifest
from anomalens.images.mask_files import Masks, is_mask_folder, marked_in, split_off_masks


def normal_images(source: object) -> ImageSet:
    """As `ImageSet.open`, but of a folder laid out as a dataset take the normal training images only.

    From a manifest the rows of the split train, or of none, are taken that are labelled good, or not at all.

    Raises
    ------
    ImageSetError
        Also for a folder in no known layout that holds what may be no normal image.
    """
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".csv":
        return _listed_as_normal(Path(source))
    if not isinstance(source, str | os.PathLike) or not Path(source).is_dir():
        return ImageSet.open(source)
    if is_mask_folder(Path(source)) and holds_images(Path(source)):
        raise ImageSetError(
            f"{source} holds masks, by its name and by what is in it; give the folder of the normal images."
        )
    layout = recognise(source)
    layout.refuse_doubts()
    found = ImageSet.from_folder(layout.train_normal)
    if not is_good(layout.train_normal.name):
        found = _without_marked(found, layout)
    if layout.kind == "flat":
        return found
    return replace(found, entries=tuple(replace(entry, verdict=NORMAL) for entry in found))


def labelled_images(layout: Layout) -> ImageSet:
    """The labelled test images of a layout, with their masks; ids are paths below its root.

    Raises
    ------
    ImageSetError
        When the layout has no test images, or a mask that tells cannot be read.
    """
    if not layout.test:
        raise ImageSetError(
            f"{layout.root} has no test images: folders such as test/good and test/<defect> were looked for."
        )
    entries: list[ImageEntry] = []
    ignored: list[str] = []
    masks = masks_below(layout.root)
    for kind, folder in layout.test.items():
        images, others = find_files(folder)
        images, _ = split_off_masks(layout.root, images)
        ignored += [path.relative_to(layout.root).as_posix() for path in others]
        for path in images:
            mask = None if kind == GOOD else masks.of(path)
            normal = kind == GOOD
            if kind == BY_MASK:
                normal = mask is None or not marked_in(mask).any()
            entries += [
                replace(
                    entry,
                    class_name=None if normal or kind == BY_MASK else kind,
                    verdict=NORMAL if normal else ANOMALOUS,
                    mask=None if normal else mask,
                )
                for entry in file_entries(path, path.relative_to(layout.root).as_posix())
            ]
    return ImageSet(tuple(entries), str(layout.root), tuple(ignored))


def _listed_as_normal(csv: Path) -> ImageSet:
    rows = [
        row
        for row in read_manifest(csv)
        if row.split in (None, "train") and (row.verdict == NORMAL or not row.label)
    ]
    if not rows:
        raise ImageSetError(
            f"The manifest {csv} lists no normal image to learn from: rows of the split train with "
            "the label good, or without a label."
        )
    return ImageSet.from_rows(rows, origin=str(csv))


def _without_marked(images: ImageSet, layout: Layout) -> ImageSet:
    """Without the images in which a mask marks something."""
    masks: Masks = masks_below(layout.root)
    marked: dict[str, str] = {}
    for entry in images:
        mask = None if entry.file is None else masks.of(entry.file)
        if mask is not None and marked_in(mask).any():
            marked[entry.id] = MARKED
    if not marked:
        return images
    kept = tuple(entry for entry in images if entry.id not in marked)
    return replace(images, entries=kept, left_out={**images.left_out, **marked})

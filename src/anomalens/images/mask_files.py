"""Which files are masks, told by their names and by what they hold, and which image each belongs to.

A name alone is no proof: `juice_label.jpg` may be a photograph of a label. A mask has few grey levels.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError, ImageSetError
from anomalens.images.decode import SUFFIXES, decode
from anomalens.images.folder_names import image_name_of_mask, is_container, is_mask, is_test, is_train
from anomalens.images.mask_values import mask_values

Marked = NDArray[np.bool_]

_LOSSY: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".webp"})
_MOST_LEVELS: Final = 16  # of a mask: 0 and 1, or a number for each kind of defect
_SAMPLE: Final = 5  # files that speak for all of a folder


def marked_in(path: Path) -> Marked:
    """Where a mask marks something, bool [h, w]: any non-zero value of an image, or of a folder of them.

    A transparent ground marks nothing, of a palette the index counts and not its colour, and a TIFF's values
    count as they are stored, whatever they would look like (`mask_values`).

    Raises
    ------
    ImageError
        An image cannot be decoded.
    ImageSetError
        The images of a folder differ in size, or there are none.
    """
    if path.is_dir():
        return _union(path)
    # lossy formats smear zeros around an edge; what is nearer to black is not marked
    limit = 127 if path.suffix.lower() in _LOSSY else 0
    return mask_values(path) > limit


def _union(folder: Path) -> Marked:
    parts = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not parts:
        raise ImageSetError(f"The folder of masks {folder} is empty; unpack the data again.")
    mask = marked_in(parts[0])
    for path in parts[1:]:
        other = marked_in(path)
        if other.shape != mask.shape:
            raise ImageSetError(f"The masks in {folder} differ in size; unpack the data again.")
        np.logical_or(mask, other, out=mask)
    return mask


def looks_like_mask(path: Path) -> bool:
    """Whether an image has as few grey levels as a mask."""
    try:
        grey = mask_values(path)
        if path.suffix.lower() not in _LOSSY and not _has_few_colours(path):
            return False  # a photograph on a transparent ground
    except ImageError:
        return False
    if path.suffix.lower() in _LOSSY:
        low, high = float(grey.min()), float(grey.max())
        return bool(np.mean((grey < low + 32) | (grey > high - 32)) > 0.98)
    return len(np.unique(grey)) <= _MOST_LEVELS


def _has_few_colours(path: Path) -> bool:
    try:
        shown = decode(path).pixels.max(axis=2)
    except ImageError:  # values that are no picture's, such as large numbers
        return True
    return len(np.unique(shown)) <= _MOST_LEVELS


def is_mask_folder(folder: Path) -> bool:
    """Whether a folder is called like one of masks and a few files in it look like masks."""
    if not is_mask(folder.name):
        return False
    found = _images_below(folder, _SAMPLE)
    # lists of boxes and MATLAB files are no images
    return all(looks_like_mask(path) for path in found)


def split_off_masks(root: Path, images: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The images below a folder that are to be looked at, and those that are masks of others.

    Masks lie in a folder of masks, or beside their image: under its name with an ending such as `_mask`, or,
    beside a JPEG, as a PNG of the same name.
    """
    folders: dict[Path, bool] = {root: False}

    def in_mask_folder(folder: Path) -> bool:
        if folder not in folders:
            folders[folder] = in_mask_folder(folder.parent) or is_mask_folder(folder)
        return folders[folder]

    lossy: dict[Path, set[str]] = defaultdict(set)
    names: dict[Path, set[str]] = defaultdict(set)
    for path in images:
        names[path.parent].add(path.stem.lower())
        if path.suffix.lower() in _LOSSY:
            lossy[path.parent].add(path.stem.lower())
    kept, masks, beside = [], [], defaultdict(list)
    for path in images:
        name, owner = path.stem.lower(), image_name_of_mask(path.stem)
        if in_mask_folder(path.parent):
            masks.append(path)
        elif (owner != name and owner in names[path.parent]) or (
            name in lossy[path.parent] and path.suffix.lower() not in _LOSSY
        ):
            beside[path.parent].append(path)
        else:
            kept.append(path)
    for found in beside.values():
        step = -(-len(found) // _SAMPLE)
        (masks if all(looks_like_mask(path) for path in found[::step]) else kept).extend(found)
    order = {path: place for place, path in enumerate(images)}
    return sorted(kept, key=order.__getitem__), sorted(masks, key=order.__getitem__)


@dataclass(frozen=True)
class Masks:
    """The masks of a dataset, by the image that each belongs to.

    Attributes
    ----------
    root : Path
        Folder above images and masks.
    by_name : dict of str to list of Path
        From the image's name in lower case to masks of that name.
    """

    root: Path
    by_name: dict[str, list[Path]]

    @classmethod
    def of_files(cls, root: Path, files: Iterable[Path]) -> Masks:
        """From mask files below the root; what lies in a folder named like an image is one mask together."""
        by_name: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            by_name[image_name_of_mask(path.stem)].append(path)
            by_name[path.parent.name.lower()].append(path.parent)
            if path.stem.lower() != image_name_of_mask(path.stem):
                by_name[path.stem.lower()].append(path)
        return cls(root, {name: list(dict.fromkeys(paths)) for name, paths in by_name.items()})

    def of(self, image: Path) -> Path | None:
        """The mask of an image: a file, or a folder of files; None where there is none.

        Where several have one name, it is the one whose folders, but for those of masks and images, are most
        alike: that of `test/crack/000.png` is `ground_truth/crack/000_mask.png`, not `…/hole/000_mask.png`.
        """
        found = [path for path in self.by_name.get(image.stem.lower(), ()) if path != image]
        wanted = _kinds(image.parent, self.root)
        for path in found:
            if _kinds(path.parent, self.root) == wanted:
                return path
        loose = [path for path in found if not _kinds(path.parent, self.root)]
        return loose[0] if len(loose) == 1 else None


def _kinds(folder: Path, root: Path) -> tuple[str, ...]:
    """The names between the root and a file that say what is shown, not whether it is mask or image."""
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else folder.parts
    return tuple(
        part.lower()
        for part in parts
        if not (is_mask(part) or is_container(part) or is_test(part) or is_train(part))
    )


def _images_below(folder: Path, most: int) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                found.append(Path(place, name))
                if len(found) == most:
                    return found
    return found

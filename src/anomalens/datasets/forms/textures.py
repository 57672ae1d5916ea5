"""Describable Textures (DTD): images/<class>/*.jpg, and the lists labels/train1.txt, val1.txt, test1.txt."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from anomalens.datasets.forms.folders import child, labelled_files, unsplit_classes
from anomalens.datasets.limits import read_text
from anomalens.datasets.task import Classes, Contents, Form
from anomalens.errors import ImageSetError
from anomalens.images.files import folders_in
from anomalens.images.image_set import ImageSet

_SOME_CLASSES: Final = frozenset({
    "banded", "blotchy", "braided", "bubbly", "bumpy", "chequered", "cobwebbed", "cracked", "crosshatched",
    "crystalline", "dotted", "fibrous", "flecked", "freckled", "frilly", "gauzy", "grid", "grooved",
    "honeycombed", "interlaced", "knitted", "lacelike", "lined", "marbled", "matted", "meshed", "paisley",
    "perforated", "pitted", "pleated", "polka-dotted", "porous", "potholed", "scaly", "smeared", "spiralled",
    "sprinkled", "stained", "stratified", "striped", "studded", "swirly", "veined", "waffled", "woven",
    "wrinkled", "zigzagged",
})  # fmt: skip
_PARTS: Final = {"train": ("train1.txt", "val1.txt"), "test": ("test1.txt",)}


def _classes_in(root: Path) -> list[Path]:
    return [sub for sub in folders_in(root / "images") if sub.name.lower() in _SOME_CLASSES]


def read_textures(root: Path, seed: int) -> Contents:
    """The first of the ten published splits, to learn from with its validation part; or one of our own."""
    folders = _classes_in(root)
    entries = {
        f"{sub.name}/{Path(entry.id).name}": entry
        for sub in folders
        for entry in labelled_files(sub, root, (sub.name, None))
    }
    labels = child(root, "labels")
    if labels is None:
        return unsplit_classes(ImageSet(tuple(entries.values()), str(root)), seed=seed)
    parts = {}
    for part, files in _PARTS.items():
        lines = [line.strip() for file in files for line in read_text(labels / file).splitlines()]
        listed = [line for line in lines if line]
        if missing := [line for line in listed if line not in entries]:
            raise ImageSetError(
                f"{root}: {len(missing)} images that {' and '.join(files)} list are not there, the first is "
                f"{missing[0][:80]}; fetch the data again."
            )
        parts[part] = ImageSet(tuple(entries[line] for line in dict.fromkeys(listed)), str(root))
    note = "the first of the ten published splits; its validation part is learnt from."
    return Classes(tuple(sub.name for sub in folders), parts["train"], parts["test"], None, (note,))


TEXTURES: Final = Form(
    "images/<class>/*, labels/train1.txt, labels/val1.txt, labels/test1.txt",
    lambda root: len(_classes_in(root)) > 1,
    read_textures,
)

"""Places365's validation images: val_256 or val_large, places365_val.txt and categories_places365.txt.

Its easier form, train/<class>/* and val/<class>/*, is read as any folders of classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from anomalens.datasets.forms.folders import child
from anomalens.datasets.limits import MAX_CLASSES, read_text
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet

_LIST, _NAMES = "places365_val.txt", "categories_places365.txt"
_FOLDERS: Final = ("val_256", "val_large")


def read_places(root: Path, seed: int) -> Classes:
    """The validation images that are there, as images to test with; there are none to learn from."""
    folder = child(root, *_FOLDERS)
    assert folder is not None
    names = _class_names(root)
    there = {path.name for path in folder.iterdir() if path.is_file()}
    entries, missing = [], 0
    for line in read_text(root / _LIST).splitlines():
        match line.split():
            case [file, number] if number.isdecimal() and int(number) < len(names):
                if file in there:
                    path = folder / file
                    entries.append(ImageEntry(f"{folder.name}/{file}", path, class_name=names[int(number)]))
                else:
                    missing += 1
            case []:
                pass
            case _:
                raise ImageSetError(
                    f"{root / _LIST}: the line {line[:80]!r} is no file name and number of a class; fetch it "
                    "again."
                )
    if not entries:
        raise ImageSetError(f"{folder} holds none of the images that {_LIST} lists; unpack them there.")
    notes = (f"{missing} listed images are not there and left out.",) if missing else ()
    return Classes(names, ImageSet((), str(root)), ImageSet(tuple(entries), str(root)), None, notes)


def _class_names(root: Path) -> tuple[str, ...]:
    """`/a/airfield 0` names class 0 airfield; what distinguishes two of one name stays (`arena/rodeo`)."""
    names: list[str] = []
    for line in read_text(root / _NAMES).splitlines():
        match line.split():
            case [path, number] if number == str(len(names)) and path.count("/") > 1:
                names.append(path.split("/", 2)[2])
            case []:
                pass
            case _:
                raise ImageSetError(
                    f"{root / _NAMES}: the line {line[:80]!r} is not a category with number {len(names)}; "
                    "fetch it again."
                )
    if not 1 < len(set(names)) == len(names) <= MAX_CLASSES:
        raise ImageSetError(f"{root / _NAMES} must list each category once; fetch it again.")
    return tuple(names)


def _recognises(root: Path) -> bool:
    return all((root / name).is_file() for name in (_LIST, _NAMES)) and child(root, *_FOLDERS) is not None


PLACES: Final = Form(f"val_256/*.jpg, {_LIST}, {_NAMES}", _recognises, read_places)

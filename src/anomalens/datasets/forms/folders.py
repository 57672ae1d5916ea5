"""Folders of image files: MVTec's layout, several of it side by side, class folders, one flat folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from anomalens.datasets.labelled_arrays import normal_by_name
from anomalens.datasets.splitting import UNSPLIT, split_classes, split_normals
from anomalens.datasets.task import Classes, Form, Split
from anomalens.errors import ImageSetError
from anomalens.images.dataset_folder import labelled_images, normal_images
from anomalens.images.decode import SUFFIXES
from anomalens.images.files import find_files, folders_in
from anomalens.images.folder_names import is_good, is_test, is_train
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import GOOD, NORMAL, Known, judged
from anomalens.images.layout import Layout, recognise
from anomalens.images.mask_files import is_mask_folder, split_off_masks
from anomalens.images.named_groups import add_groups


def child(root: Path, *names: str) -> Path | None:
    """The first folder of one of these names, whatever its case."""
    found = {sub.name.lower(): sub for sub in folders_in(root)}
    return next((found[name.lower()] for name in names if name.lower() in found), None)


def layout_of(folder: Path) -> Layout | None:
    """How a folder is laid out, or None when it is no folder or holds several datasets."""
    try:
        return recognise(folder)
    except ImageSetError:
        return None


def labelled_files(folder: Path, root: Path, known: Known) -> list[ImageEntry]:
    """The image files below a folder, of which one thing is known; ids are paths below the root."""
    images, _ = split_off_masks(root, find_files(folder)[0])
    return [ImageEntry(path.relative_to(root).as_posix(), path, *known) for path in images]


def is_category(folder: Path) -> bool:
    """Whether a folder is laid out like one category of MVTec's, with something to test."""
    if not any(is_train(sub.name) for sub in folders_in(folder)):
        return False
    layout = layout_of(folder)
    return layout is not None and layout.kind == "mvtec" and bool(layout.test or child(folder, "validation"))


def read_category(folder: Path, name: str | None) -> Split:
    """One category: train/good or train, test/<kind>, ground_truth/<kind>/<stem>_mask.png or as in LOCO."""
    layout = recognise(folder)
    below = layout.train_normal.relative_to(layout.root).as_posix()
    train = normal_images(layout.root)
    train = replace(
        train,
        entries=tuple(
            replace(entry, id=f"{below}/{entry.id}", group=entry.group and f"{below}/{entry.group}")
            for entry in train
        ),
        origin=str(layout.root),
    )
    tested = dict(layout.test)
    notes: list[str] = []
    validation = child(folder, "validation")
    good = validation and next((sub for sub in folders_in(validation) if is_good(sub.name)), None)
    if good is not None and GOOD not in tested:
        tested[GOOD] = good
        notes.append("published validation images are used as normal test images: the test part has none.")
    elif good is not None:
        notes.append("the published validation images are not used.")
    test = labelled_images(replace(layout, test=tested))
    train, test = add_groups(train, test)
    return Split(name, train, test, tuple(notes))


def _category_folders(root: Path) -> list[Path]:
    return [sub for sub in folders_in(root) if is_category(sub)]


def read_categories(root: Path, seed: int) -> tuple[Split, ...]:
    """Several categories side by side."""
    return tuple(read_category(sub, sub.name) for sub in _category_folders(root))


def _class_parts(root: Path) -> tuple[Path, Path] | None:
    """`train` and `test` that both hold at least two folders of images."""
    train, test = child(root, "train", "training"), child(root, "test", "testing", "val", "validation")
    if train is None or test is None:
        return None
    return (train, test) if len(_image_folders(train)) > 1 and _image_folders(test) else None


def _image_folders(root: Path) -> list[Path]:
    return [
        sub
        for sub in folders_in(root)
        if any(path.suffix.lower() in SUFFIXES for path in _peek(sub)) and not is_mask_folder(sub)
    ]


def _peek(folder: Path) -> Iterable[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.is_file())
    except OSError:
        return


def read_class_parts(root: Path, seed: int) -> Classes:
    """train/<class>/* and test/<class>/*."""
    parts = _class_parts(root)
    assert parts is not None
    sets = [
        ImageSet(
            tuple(e for sub in _image_folders(part) for e in labelled_files(sub, root, (sub.name, None))),
            str(root),
        )
        for part in parts
    ]
    names = tuple(sorted({entry.class_name or "" for one in sets for entry in one}))
    train, test = add_groups(*sets)
    return Classes(names, train, test, normal_by_name(names))


def read_class_folders(root: Path, seed: int) -> Classes | tuple[Split, ...]:
    """<class>/*, published without a split; masks in a folder beside them."""
    layout = layout_of(root)
    if layout is not None and layout.kind == "classes":
        return unsplit_classes(labelled_images(layout), seed=seed)
    folders = _image_folders(root)
    entries = [entry for sub in folders for entry in labelled_files(sub, root, (sub.name, None))]
    return unsplit_classes(ImageSet(tuple(entries), str(root)), seed=seed)


def _has_class_folders(root: Path) -> bool:
    layout = layout_of(root)
    if layout is not None and layout.kind == "classes" and len(layout.test) > 1:
        return True
    # a part to learn from and one to test are no classes
    return sum(not (is_test(sub.name) or is_train(sub.name)) for sub in _image_folders(root)) > 1


def unsplit_classes(images: ImageSet, *, seed: int) -> Classes | tuple[Split, ...]:
    """Images without a split: normal against the rest where some are judged, or a class is named so."""
    names = tuple(sorted({entry.class_name or "" for entry in images}))
    normal = normal_by_name(names)
    (images,) = add_groups(images)
    judged_already = any(entry.verdict is not None for entry in images)
    if normal is None and not judged_already:
        train, test = split_classes(images, seed=seed)
        note = f"{UNSPLIT}: three quarters of each class to learn from (seed {seed})."
        return Classes(names, train, test, None, (note,))
    if not judged_already:
        entries = (replace(entry, verdict=judged(entry.class_name != normal)) for entry in images)
        images = replace(images, entries=tuple(entries))
    return split_normals(images, seed=seed)


def read_flat(root: Path, seed: int) -> tuple[Split, ...]:
    """Images without labels, all taken as normal."""
    images = ImageSet.from_folder(root)
    images = replace(images, entries=tuple(replace(entry, verdict=NORMAL) for entry in images))
    (images,) = add_groups(images)
    alone = "no image is labelled: all are taken as normal, so only false alarms can be measured."
    return split_normals(images, alone, seed=seed)


def _is_flat(root: Path) -> bool:
    return root.is_dir() and any(path.suffix.lower() in SUFFIXES for path in _peek(root))


CATEGORY = Form(
    "train/good, test/<kind>, ground_truth/<kind>/<stem>_mask.png",
    is_category,
    lambda root, seed: (read_category(root, None),),
)
CATEGORIES = Form(
    "<category>/train/good, <category>/test/<kind>, <category>/ground_truth/<kind>",
    lambda root: bool(_category_folders(root)),
    read_categories,
)
CLASS_PARTS = Form(
    "train/<class>/*, test/<class>/*", lambda root: _class_parts(root) is not None, read_class_parts
)
CLASS_FOLDERS = Form("<class>/*", _has_class_folders, read_class_folders)
FLAT = Form("images in one folder", _is_flat, read_flat)

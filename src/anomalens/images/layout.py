"""How a folder is laid out as a dataset: which images are normal, which test, where masks are.

Someone who points `fit` at a dataset's root must not train on its defects, so the usual layouts are
recognised by their folder names. What is not recognised is `flat`: all images below are taken, unless
something among them may be a defect, a mask or a part to test. Then the layout says so, and whoever gave it
has to choose.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from anomalens.errors import ImageSetError
from anomalens.images.decode import SUFFIXES
from anomalens.images.files import find_files, folders_in
from anomalens.images.folder_names import (
    is_container,
    is_good,
    is_test,
    is_train,
    may_be_abnormal,
    plain,
    says_bad,
)
from anomalens.images.labels import GOOD
from anomalens.images.mask_files import Masks, is_mask_folder, split_off_masks

BY_MASK = "by mask"  # in place of a kind: what a mask marks is a defect, all else is good

_OPPOSITES = (["0", "1"], ["false", "true"], ["no", "yes"], ["negative", "positive"])
_MOST_FOLDERS = 2000  # looked at for what may be no normal image


@dataclass(frozen=True)
class Layout:
    """What a folder turned out to be.

    Attributes
    ----------
    root : Path
    kind : {"mvtec", "classes", "flat"}
        `mvtec`: train/good or images in train itself, test/<kind>, masks in a folder such as ground_truth.
        `classes`: sub-folders of images, one of them normal; train and test are not split yet. `flat`: else.
    train_normal : Path
        Folder of the normal images to learn from.
    test : dict of str to Path
        Kind to folder; "good" for normal images, `BY_MASK` for a folder whose masks tell.
    sentence : str
        One sentence for people.
    doubts : tuple of str
        What in a flat folder may be no normal image to learn from, in words.
    """

    root: Path
    kind: Literal["mvtec", "classes", "flat"]
    train_normal: Path
    test: dict[str, Path]
    sentence: str
    doubts: tuple[str, ...] = field(default=())

    def refuse_doubts(self) -> None:
        """Raise `ImageSetError` where something in the folder may be no normal image, and ask which are."""
        if self.doubts:
            raise ImageSetError(
                f"{self.root} holds what may be no normal image to learn from ({'; '.join(self.doubts)}), in "
                "no layout that is known; give the folder of the normal ones alone, or if all are normal "
                f"the pattern '{self.root}/**/*' in quotes."
            )


def recognise(folder: str | os.PathLike[str]) -> Layout:
    """Recognise how a folder is laid out.

    Raises
    ------
    ImageSetError
        When it is no folder, or holds several datasets (then one has to be named).
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImageSetError(f"{root} is not a folder; give the folder of a dataset.")
    below = folders_in(root)
    layout = _mvtec(root, below)
    if layout is None:
        datasets = [sub.name for sub in below if _mvtec(sub, folders_in(sub)) is not None]
        if datasets:
            raise ImageSetError(
                f"{root} holds {len(datasets)} dataset{'s' * (len(datasets) > 1)} "
                f"({', '.join(datasets[:5])}{', …' * (len(datasets) > 5)}), not images; "
                f"give one of them, such as {root / datasets[0]}."
            )
        layout = _classes(root, root, below)
    if layout is not None:
        return layout
    doubts = _doubts(root)
    asked = " Something in it may be no normal image: fit would ask which are." if doubts else ""
    return Layout(root, "flat", root, {}, f"{root} is taken as one set of images.{asked}", doubts)


def folders_of_kinds(folders: list[Path]) -> dict[str, Path]:
    """Kind to folder, of those that hold images and are no parts and no masks: "good", or its own name."""
    return {
        GOOD if is_good(sub.name) else sub.name: sub
        for sub in folders
        if holds_images(sub)
        and not (is_test(sub.name) or is_train(sub.name) or is_container(sub.name) or is_mask_folder(sub))
    }


def holds_images(folder: Path) -> bool:
    """Whether there is an image file anywhere below."""
    return any(
        Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        for _, _, names in os.walk(folder)
        for name in names
    )


def _mvtec(root: Path, below: list[Path]) -> Layout | None:
    train = next((sub for sub in below if is_train(sub.name)), None)
    if train is None:
        return None
    tests = [sub for sub in below if is_test(sub.name)]
    tests.sort(key=lambda sub: not plain(sub.name).startswith("test"))  # rather than a validation part
    inner = folders_in(train)
    normal = _good_folder(inner)
    if normal is None:
        # images in train itself, which whoever made a test part beside it calls normal
        kinds = [sub for sub in inner if holds_images(sub) and not is_mask_folder(sub)]
        alone = len(kinds) == 1 and is_container(kinds[0].name) and not _images_in(train)
        if not tests or not (alone or (_images_in(train) and not kinds)):
            return None
        normal = kinds[0] if alone else train
    test = next((found for sub in tests if (found := _tested(root, sub))), {})
    tested = "; no test images"
    if test:
        tested = f"; test images: {', '.join('told by masks' if kind == BY_MASK else kind for kind in test)}"
    return Layout(
        root, "mvtec", normal, test,
        f"{root} is a dataset: normal training images in {normal.relative_to(root).as_posix()}{tested}.",
    )  # fmt: skip


def _tested(root: Path, test: Path) -> dict[str, Path]:
    """The labelled folders of a test part; of one without folders, itself where masks tell."""
    if plain(test.name).startswith("val"):
        return {}  # published validation images are normal, and for those who ask for them
    found = folders_of_kinds(folders_in(test))
    if found:
        return found
    masks = masks_below(root)
    for folder in (test, *(sub for sub in folders_in(test) if is_container(sub.name))):
        if any(masks.of(path) is not None for path in _images_in(folder)):
            return {BY_MASK: folder}
    return {}


def masks_below(root: Path) -> Masks:
    """All masks of a dataset, by image."""
    return Masks.of_files(root, split_off_masks(root, find_files(root)[0])[1])


def _classes(root: Path, place: Path, below: list[Path]) -> Layout | None:
    good = [sub for sub in below if is_good(sub.name) and holds_images(sub)]
    if len(good) > 1:
        return None
    if not good:
        # as in VisA: Images/Normal, Images/Anomaly and Masks/Anomaly, perhaps all in a folder Data
        inside = [sub for sub in below if holds_images(sub) and not is_mask_folder(sub)]
        if len(inside) == 1 and is_container(inside[0].name) and not _images_in(place):
            return _classes(root, inside[0], folders_in(inside[0]))
        return None
    test = folders_of_kinds(below)
    others = [label for label in test if label != GOOD]
    beside = f"; beside it: {', '.join(others)}" if others else ""
    return Layout(
        root, "classes", good[0], test,
        f"{root} holds classes of images: normal ones in {good[0].relative_to(root).as_posix()}{beside}.",
    )  # fmt: skip


def _good_folder(folders: list[Path]) -> Path | None:
    found = [sub for sub in folders if is_good(sub.name) and holds_images(sub)]
    return found[0] if len(found) == 1 else None


def _doubts(root: Path) -> tuple[str, ...]:
    """What in a flat folder may be no normal image, in words."""
    found: list[str] = []
    waiting, seen = [root], 0
    while waiting and seen < _MOST_FOLDERS:
        folder = waiting.pop(0)
        seen += 1
        images = _images_in(folder)
        bad = [path for path in images if says_bad(path.stem)]
        if bad and len(bad) < len(images):
            files = "a file named" if len(bad) == 1 else f"{len(bad)} files named like"
            found.append(f"{files} {bad[0].relative_to(root).as_posix()}")
        inner = [sub for sub in folders_in(folder) if holds_images(sub)]
        if (names := sorted(sub.name.lower() for sub in inner)) in _OPPOSITES:
            found.append(f"the folders {' and '.join(names)}")
        for sub in inner:
            name = f"the folder {sub.relative_to(root).as_posix()}"
            chosen = is_good(sub.name) or is_train(sub.name)
            if is_mask_folder(sub):
                continue
            if may_be_abnormal(sub.name) or (chosen and (images or len(inner) > 1)):
                found.append(name)
            else:
                waiting.append(sub)
    return tuple(found[:4]) + ((f"and {len(found) - 4} more",) if len(found) > 4 else ())


def _images_in(folder: Path) -> list[Path]:
    """The image files directly in a folder."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    except OSError:
        return []
    return sorted(path for path in found if not path.name.startswith("."))

"""How a folder is laid out as a dataset: which images are normal, which test, where masks are.

Someone who points `fit` at a dataset's root must not train on its defects, so the usual layouts are
recognised by their folder names. What is not recognised is `flat`: all images below are taken.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anomalens.errors import ImageSetError
from anomalens.images.decode import SUFFIXES

GOOD = "good"
DEFECT = "defect"

# fmt: off
GOOD_NAMES = frozenset({
    "good", "normal", "normals", "ok", "healthy", "uninfected", "undamaged", "no_defect",
    "no_defects", "nodefect", "defect_free", "defectfree", "without_defect", "non_defect",
    "non_defective", "no_anomaly",
})
# fmt: on
"""Names of folders that hold normal images; compared in lower case, with _ for space and -."""

_GOOD_LABELS = GOOD_NAMES | {"0", "0.0", "false"}
_DEFECT_LABELS = frozenset({"1", "1.0", "true", "anomalous", "anomaly", "defect", "abnormal"})
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg")


def as_label(text: str | None) -> str | None:
    """Bring a label to the house's form: "good", "defect", a kind of anomaly, or None if empty."""
    text = (text or "").strip()
    plain = _plain(text)
    if plain in _GOOD_LABELS:
        return GOOD
    if plain in _DEFECT_LABELS:
        return DEFECT
    return text or None


@dataclass(frozen=True)
class Layout:
    """What a folder turned out to be.

    Attributes
    ----------
    root : Path
    kind : {"mvtec", "classes", "flat"}
        `mvtec`: train/good, test/<kind>, ground_truth/<kind>/<stem>_mask.png. `classes`:
        sub-folders of images, one of them normal; train and test are not split yet. `flat`: else.
    train_normal : Path
        Folder of the normal images to learn from.
    test : dict of str to Path
        Label to folder; "good" for normal images.
    masks : Path or None
        The folder of ground-truth masks.
    sentence : str
        One sentence for people.
    """

    root: Path
    kind: Literal["mvtec", "classes", "flat"]
    train_normal: Path
    test: dict[str, Path]
    masks: Path | None
    sentence: str

    def mask_of(self, image: Path, label: str) -> Path | None:
        """The mask of a test image, or None where there is none."""
        if self.masks is None or label == GOOD:
            return None
        folder = self.masks / image.parent.name
        for suffix in _MASK_SUFFIXES:
            for stem in (f"{image.stem}_mask", image.stem):
                if (folder / (stem + suffix)).is_file():
                    return folder / (stem + suffix)
        return None


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
    below = _folders(root)
    layout = _mvtec(root, below)
    if layout is None:
        datasets = [sub.name for sub in below if _mvtec(sub, _folders(sub)) is not None]
        if datasets:
            raise ImageSetError(
                f"{root} holds {len(datasets)} dataset{'s' * (len(datasets) > 1)} "
                f"({', '.join(datasets[:5])}{', …' * (len(datasets) > 5)}), not images; "
                f"give one of them, such as {root / datasets[0]}."
            )
        layout = _classes(root, below)
    if layout is not None:
        return layout
    return Layout(root, "flat", root, {}, None, f"{root} is taken as one set of images.")


def _mvtec(root: Path, below: list[Path]) -> Layout | None:
    parts = {_plain(sub.name): sub for sub in below}
    if "train" not in parts:
        return None
    train = _good_folder(_folders(parts["train"]))
    if train is None:
        return None
    test = _labelled(_folders(parts["test"])) if "test" in parts else {}
    masks = parts.get("ground_truth")
    tested = f"; test images: {', '.join(test)}" if test else "; no test images"
    marked = f"; masks in {masks.name}" if masks else ""
    return Layout(
        root, "mvtec", train, test, masks,
        f"{root} is a dataset: normal training images in {train.relative_to(root).as_posix()}"
        f"{tested}{marked}.",
    )  # fmt: skip


def _classes(root: Path, below: list[Path]) -> Layout | None:
    good = _good_folder(below)
    if good is None:
        return None
    test = _labelled(below)
    others = [label for label in test if label != GOOD]
    beside = f"; beside it: {', '.join(others)}" if others else ""
    return Layout(
        root, "classes", good, test, None,
        f"{root} holds classes of images: normal ones in {good.name}{beside}.",
    )  # fmt: skip


def _labelled(folders: list[Path]) -> dict[str, Path]:
    return {
        GOOD if _plain(sub.name) in GOOD_NAMES else sub.name: sub for sub in folders if _holds_images(sub)
    }


def _good_folder(folders: list[Path]) -> Path | None:
    return next((sub for sub in folders if _plain(sub.name) in GOOD_NAMES and _holds_images(sub)), None)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(sub for sub in root.iterdir() if sub.is_dir() and not sub.name.startswith((".", "__")))
    except OSError:
        return []


def _holds_images(folder: Path) -> bool:
    return any(
        Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        for _, _, names in os.walk(folder)
        for name in names
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")

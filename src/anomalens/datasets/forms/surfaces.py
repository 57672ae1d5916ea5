"""Surface and material sets in their published folders: magnetic tile, KolektorSDD, DAGM, cracks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.datasets.forms.folders import child, labelled_files
from anomalens.datasets.masks import read_mask_file
from anomalens.datasets.splitting import split_normals
from anomalens.datasets.task import Form, Split
from anomalens.errors import ImageError, ImageSetError
from anomalens.images.decode import decode
from anomalens.images.files import find_files, folders_in
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import ANOMALOUS, GOOD, NORMAL, judged, of_kind
from anomalens.images.named_groups import add_groups

_TILE_FREE: Final = "MT_Free"


def _tile_folder(root: Path) -> Path | None:
    """The root, or the folder inside it that the published archive has."""
    return next((sub for sub in (root, *folders_in(root)) if child(sub, _TILE_FREE)), None)


def read_magnetic_tile(root: Path, seed: int) -> tuple[Split, ...]:
    """MT_<Kind>/Imgs/expE_num_N.jpg, the mask beside it as .png; MT_Free is normal."""
    folder = _tile_folder(root)
    assert folder is not None
    entries: list[ImageEntry] = []
    for sub in folders_in(folder):
        if not sub.name.lower().startswith("mt_"):
            continue
        known = of_kind(GOOD if sub.name.lower() == _TILE_FREE.lower() else sub.name[3:].lower())
        for path in find_files(sub)[0]:
            if path.suffix.lower() != ".jpg":
                continue
            mask = path.with_suffix(".png")
            marked = mask if known[1] == ANOMALOUS and mask.is_file() else None
            entries.append(ImageEntry(path.relative_to(folder).as_posix(), path, *known, mask=marked))
    (images,) = add_groups(ImageSet(tuple(entries), str(root)))
    grouped = "capture numbers at most 50 apart are one tile under several exposures, and one group."
    return split_normals(images, grouped, seed=seed, share=0.7)


def _kolektor_items(root: Path) -> list[Path]:
    return [sub for sub in folders_in(root) if re.fullmatch(r"kos\d+", sub.name, re.IGNORECASE)]


def read_kolektor(root: Path, seed: int) -> tuple[Split, ...]:
    """kosNN/PartM.jpg with PartM_label.bmp; a label that marks nothing is a normal image."""
    entries: list[ImageEntry] = []
    for item in _kolektor_items(root):
        for path in find_files(item)[0]:
            label = path.with_name(f"{path.stem}_label.bmp")
            if path.suffix.lower() != ".jpg":
                continue
            if not label.is_file():
                raise ImageSetError(f"{path} has no {label.name} beside it; fetch the data again.")
            marked = bool(read_mask_file(label).any())
            entries.append(
                ImageEntry(
                    path.relative_to(root).as_posix(), path, verdict=judged(marked),
                    mask=label if marked else None, group=item.name,
                )
            )  # fmt: skip
    # every item has a defect, so each one learnt from costs one of the few defects
    grouped = "the parts of one commutator are one group."
    return split_normals(ImageSet(tuple(entries), str(root)), grouped, seed=seed, share=0.5)


def _dagm_classes(root: Path) -> list[Path]:
    return [sub for sub in folders_in(root) if re.fullmatch(r"class\d+", sub.name, re.IGNORECASE)]


def read_dagm(root: Path, seed: int) -> tuple[Split, ...]:
    """ClassN/Train and ClassN/Test; what has a Label/<stem>_label.PNG is defective."""
    splits = []
    for folder in sorted(_dagm_classes(root), key=lambda sub: int(re.sub(r"\D", "", sub.name))):
        parts: dict[str, list[ImageEntry]] = {}
        for part in ("Train", "Test"):
            found = child(folder, part)
            if found is None:
                raise ImageSetError(f"{folder} has no folder {part}; unpack the data again.")
            parts[part] = [_dagm_entry(path, root) for path in find_files(found, recursive=False)[0]]
        train = tuple(entry for entry in parts["Train"] if entry.verdict == NORMAL)
        unused = len(parts["Train"]) - len(train)
        splits.append(
            Split(
                folder.name, ImageSet(train, str(folder)), ImageSet(tuple(parts["Test"]), str(folder)),
                (f"{unused} defective images of the published training part are not used.",),
            )
        )  # fmt: skip
    return tuple(splits)


def _dagm_entry(path: Path, root: Path) -> ImageEntry:
    name = path.relative_to(root).as_posix()
    for suffix in (".PNG", ".png"):
        label = path.parent / "Label" / f"{path.stem}_label{suffix}"
        if label.is_file():
            return ImageEntry(name, path, verdict=ANOMALOUS, mask=label)
    return ImageEntry(name, path, verdict=NORMAL)


def two_folders(good: tuple[str, ...], bad: tuple[str, ...], kind: str) -> Form:
    """Normal images in one folder, one kind of anomaly in another, no split."""

    def both(root: Path) -> tuple[Path, Path] | None:
        for folder in (root, *folders_in(root)[:50]):
            normal, anomalous = child(folder, *good), child(folder, *bad)
            if normal is not None and anomalous is not None:
                return normal, anomalous
        return None

    def read(root: Path, seed: int) -> tuple[Split, ...]:
        found = both(root)
        assert found is not None
        entries = [
            entry
            for folder, word in zip(found, (GOOD, kind), strict=True)
            for entry in labelled_files(folder, folder.parent, of_kind(word))
        ]
        (images,) = add_groups(ImageSet(tuple(entries), str(root)))
        return split_normals(images, seed=seed)

    recognises: Callable[[Path], bool] = lambda root: both(root) is not None  # noqa: E731
    return Form(f"{good[0]}/*, {bad[0]}/*", recognises, read)


TILE_SIDE: Final = 160


def read_crackforest(root: Path, seed: int) -> tuple[Split, ...]:
    """image/<n>.jpg and groundTruth/<n>.mat, cut into tiles of 160 pixels.

    Every photograph shows a crack, so the photographs give no normal image; their tiles do. Tiles
    whose marked part is a mere touch (under 0.1 % of the pixels) are neither, and left out.
    """
    images, truths = child(root, "image"), child(root, "groundTruth")
    assert images is not None and truths is not None
    entries: list[ImageEntry] = []
    unclear = 0
    for path in find_files(images)[0]:
        truth = truths / f"{path.stem}.mat"
        if not truth.is_file():
            continue
        try:
            pixels, mask = decode(path).pixels, read_mask_file(truth)
        except ImageError as error:
            raise ImageSetError(str(error)) from None
        if mask.shape != pixels.shape[:2]:
            raise ImageSetError(
                f"{truth} marks {mask.shape} and {path.name} is {pixels.shape[:2]}; fetch both again."
            )
        for top in range(0, mask.shape[0] - TILE_SIDE + 1, TILE_SIDE):
            for left in range(0, mask.shape[1] - TILE_SIDE + 1, TILE_SIDE):
                place = np.s_[top : top + TILE_SIDE, left : left + TILE_SIDE]
                share = float(mask[place].mean())
                if 0 < share < 0.001:
                    unclear += 1
                    continue
                known = of_kind("crack" if share else GOOD)
                name = f"{path.name}#x{left}y{top}"
                entries.append(ImageEntry(name, pixels[place], *known, group=path.name))
    cut = (
        f"every photograph is cracked, so tiles of {TILE_SIDE} pixels are judged, without pixel masks; "
        f"{unclear} tiles that a crack merely touches are left out."
    )
    # a photograph that is learnt from costs its cracked tiles
    return split_normals(ImageSet(tuple(entries), str(root)), cut, seed=seed, share=0.5)


def _is_crackforest(root: Path) -> bool:
    images, truths = child(root, "image"), child(root, "groundTruth")
    return images is not None and truths is not None and any(truths.glob("*.mat"))


MAGNETIC_TILE = Form(
    "MT_Free/Imgs/*.jpg, MT_<Kind>/Imgs/*.jpg with masks *.png",
    lambda root: _tile_folder(root) is not None,
    read_magnetic_tile,
)
KOLEKTOR = Form(
    "kosNN/PartM.jpg, kosNN/PartM_label.bmp", lambda root: bool(_kolektor_items(root)), read_kolektor
)
DAGM = Form(
    "ClassN/Train/*.PNG, ClassN/Test/*.PNG, Label/*_label.PNG",
    lambda root: any(child(sub, "Train") and child(sub, "Test") for sub in _dagm_classes(root)),
    read_dagm,
)
METU = two_folders(("Negative",), ("Positive",), "crack")
MALARIA = two_folders(("Uninfected",), ("Parasitized",), "parasitized")
BRAIN_MRI = two_folders(("no",), ("yes",), "tumor")
CRACKFOREST = Form("image/*.jpg, groundTruth/*.mat", _is_crackforest, read_crackforest)

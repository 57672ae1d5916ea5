"""Product sets whose published folders differ from MVTec AD's: 3D-AD, VisA, DeepPCB."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.datasets.forms.folders import child, labelled_files
from anomalens.datasets.limits import read_text
from anomalens.datasets.task import Form, Split
from anomalens.errors import ImageSetError
from anomalens.images.files import find_files, folders_in, natural_key
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import ANOMALOUS, GOOD, NORMAL, judged, of_kind


def _has_rgb(folder: Path) -> bool:
    good = child(folder / "train", "good")
    return good is not None and (good / "rgb").is_dir()


def _rgb_categories(root: Path) -> list[Path]:
    return [root] if _has_rgb(root) else [sub for sub in folders_in(root) if _has_rgb(sub)]


def read_mvtec_3d(root: Path, seed: int) -> tuple[Split, ...]:
    """<category>/train/good/rgb, test/<kind>/rgb with masks in test/<kind>/gt; depth is not used."""
    splits = []
    for folder in _rgb_categories(root):
        train = labelled_files(folder / "train" / "good" / "rgb", folder, of_kind(GOOD))
        test: list[ImageEntry] = []
        for kind in folders_in(folder / "test"):
            if not (kind / "rgb").is_dir():
                continue
            for entry in labelled_files(kind / "rgb", folder, of_kind(kind.name)):
                assert entry.file is not None
                mask = kind / "gt" / f"{entry.file.stem}.png"
                marked = kind.name != GOOD and mask.is_file()
                test.append(replace(entry, mask=mask if marked else None))
        splits.append(
            Split(
                folder.name, ImageSet(tuple(train), str(folder)), ImageSet(tuple(test), str(folder)),
                ("colour images only; depth and the published validation images are not used.",),
            )
        )  # fmt: skip
    return tuple(splits)


_VISA_SPLIT: Final = Path("split_csv", "1cls.csv")


def read_visa(root: Path, seed: int) -> tuple[Split, ...]:
    """The published one-class split, split_csv/1cls.csv: object, split, label, image, mask."""
    file = root / _VISA_SPLIT
    parts: dict[str, dict[str, list[ImageEntry]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(read_text(file), newline="")):
            entries = parts.setdefault(row["object"], {"train": [], "test": []})
            verdict = judged(row["label"] != "normal")
            mask = root / _inside(file, row["mask"]) if verdict == ANOMALOUS and row["mask"] else None
            name = _inside(file, row["image"])
            entries[row["split"]].append(ImageEntry(name, root / name, verdict=verdict, mask=mask))
    except (KeyError, TypeError, AttributeError, csv.Error):
        raise ImageSetError(
            f"{file} needs object, split (train or test), label, image and mask on every line; unpack it "
            "again."
        ) from None
    return tuple(
        Split(
            category,
            ImageSet(tuple(e for e in part["train"] if e.verdict == NORMAL), str(root / category)),
            ImageSet(tuple(part["test"]), str(root / category)),
        )
        for category, part in sorted(parts.items())
    )


def _inside(file: Path, name: str) -> str:
    path = Path(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ImageSetError(f"{file} names {name[:80]!r}, which leads out of the dataset; unpack it again.")
    return path.as_posix()


def _board_groups(root: Path) -> list[Path]:
    """Folders of pairs: `<id>/test` and `<id>/template`, or published `groupN/<id>` of `_test.jpg`."""
    found = []
    for folder in (root, *folders_in(root)):
        if (folder / "test").is_dir() and (folder / "template").is_dir():
            found.append(folder)
            continue
        found += [
            sub for sub in folders_in(folder) if (folder / f"{sub.name}_not").is_dir() and sub.name.isdigit()
        ]
    return found


def _is_deeppcb(root: Path) -> bool:
    return root.is_dir() and bool(_board_groups(root) or _board_groups(root / "PCBData"))


def read_deeppcb(root: Path, seed: int) -> tuple[Split, ...]:
    """Pairs of a defect-free template and a tested board, defects marked by boxes.

    No tested board is free of defects, so half of each group's pairs (seeded) lend their templates to
    learn from, and the templates of the other half are the normal test images.
    """
    splits = []
    for folder in sorted(_board_groups(root) or _board_groups(root / "PCBData"), key=natural_key):
        pairs = _pairs(folder)
        if len(pairs) < 2:
            raise ImageSetError(f"{folder} has {len(pairs)} pair(s) of test and template; unpack it again.")
        drawn = np.random.default_rng([seed, 2]).permutation(len(pairs))[: len(pairs) // 2]
        learnt = {int(place) for place in drawn}
        train, test, references = [], [], []
        for place, (name, tested, template, boxes) in enumerate(pairs):
            good = ImageEntry(f"{folder.name}/template/{name}", template, verdict=NORMAL, group=name)
            if place in learnt:
                train.append(good)
                continue
            bad = ImageEntry(f"{folder.name}/test/{name}", tested, verdict=ANOMALOUS, mask=boxes, group=name)
            test += [good, bad]
            references += [good, good]
        splits.append(
            Split(
                folder.name, ImageSet(tuple(train), str(folder)), ImageSet(tuple(test), str(folder)),
                (
                    "every tested board has defects: the normal test images are templates, which equal "
                    "their own reference, so only figures within defective images test a template method.",
                    "masks are filled boxes.",
                ),
                ImageSet(tuple(references), str(folder)),
            )
        )  # fmt: skip
    return tuple(splits)


def _pairs(folder: Path) -> list[tuple[str, Path, Path, Path | None]]:
    """Id, tested image, template and box list of every complete pair."""
    pairs = []
    if (folder / "test").is_dir():
        for tested in find_files(folder / "test")[0]:
            template = folder / "template" / tested.name
            boxes = folder / "boxes" / f"{tested.stem}.txt"
            pairs.append((tested.stem, tested, template, boxes))
    else:
        for tested in find_files(folder)[0]:
            if tested.stem.endswith("_test"):
                name = tested.stem.removesuffix("_test")
                template = tested.with_name(f"{name}_temp{tested.suffix}")
                pairs.append((name, tested, template, folder.parent / f"{folder.name}_not" / f"{name}.txt"))
    return [
        (name, tested, template, boxes if boxes.is_file() else None)
        for name, tested, template, boxes in pairs
        if template.is_file()
    ]


MVTEC_3D = Form(
    "<category>/train/good/rgb, <category>/test/<kind>/rgb and gt",
    lambda root: bool(_rgb_categories(root)),
    read_mvtec_3d,
)
VISA = Form(
    "split_csv/1cls.csv, <category>/Data/Images", lambda root: (root / _VISA_SPLIT).is_file(), read_visa
)
DEEPPCB = Form(
    "groupN/<id>/*_test.jpg, *_temp.jpg, <id>_not/*.txt; or <group>/test, template, boxes",
    _is_deeppcb,
    read_deeppcb,
)

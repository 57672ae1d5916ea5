"""The sets of real images that the benchmark of the main job runs on.

Each gives normal images to learn from, and test images with labels. `ANOMALENS_DATA` says where they
are; `../shared/data` beside the repository is the default.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from anomalens import ImageSet
from anomalens.images import labelled_images, normal_images, recognise

DATA = Path(os.environ.get("ANOMALENS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class RealSet:
    """Normal images to learn from, and labelled images to test on; `size` in pixels."""

    train: ImageSet
    test: ImageSet
    size: int = 256


def folder(name: str) -> RealSet:
    """train/good and test/<kind>."""
    return RealSet(normal_images(DATA / name), labelled_images(recognise(DATA / name)))


def arrays(name: str, normal: int, size: int) -> RealSet:
    """An .npz of one-vs-rest images: one class is normal."""
    (path,) = (DATA / name).glob("*.npz")
    with np.load(path) as data:
        x_train, y_train = data["x_train"], data["y_train"]
        x_test, y_test = data["x_test"], data["y_test"]
    labels = ["good" if y == normal else "other" for y in y_test]
    return RealSet(
        ImageSet.from_arrays(x_train[y_train == normal]),
        ImageSet.from_arrays(x_test, labels=labels),
        size,
    )


def boards(group: str) -> RealSet:
    """DeepPCB: intact templates are normal (the last 20 are held out), boards with defects are not."""
    templates = sorted((DATA / "deeppcb" / group / "template").glob("*.png"))
    boards = sorted((DATA / "deeppcb" / group / "test").glob("*.png"))
    test = [np.asarray(Image.open(p).convert("L")) for p in [*templates[-20:], *boards]]
    labels = ["good"] * 20 + ["defect"] * len(boards)
    return RealSet(ImageSet.from_paths(templates[:-20]), ImageSet.from_arrays(test, labels=labels))


def walkway(every: int = 3) -> RealSet:
    """UCSD Ped2, every third frame; a clip is a group."""
    clips = {p.stem: _frames(p)[::every] for p in sorted((DATA / "ucsd_ped2").glob("*.tar"))}
    train = {name: frames for name, frames in clips.items() if name.startswith("train")}
    test_frames: list[np.ndarray] = []
    labels: list[str] = []
    for name, frames in clips.items():
        if name.startswith("test"):
            lines = (DATA / "ucsd_ped2" / f"{name}_labels.txt").read_text().split()[::every]
            test_frames += frames
            labels += ["good" if line == "0" else "abnormal" for line in lines]
    return RealSet(
        ImageSet.from_arrays(
            [frame for frames in train.values() for frame in frames],
            groups=[name for name, frames in train.items() for _ in frames],
        ),
        ImageSet.from_arrays(test_frames, labels=labels),
    )


def _frames(path: Path) -> list[np.ndarray]:
    with tarfile.open(path) as tar:
        members = sorted((m for m in tar if m.isfile()), key=lambda m: m.name)
        files = [tar.extractfile(m) for m in members]
        return [np.asarray(Image.open(io.BytesIO(f.read())).convert("L")) for f in files if f]


PAPERS = ("bdp01_tl", "brg01_rl", "brg03_tl", "flr01_tl", "fvn01_tl", "gla01_tl")
BOARDS = ("00041", "20085", "92000")

SETS: dict[str, Callable[[], RealSet]] = {
    "mvtec_transistor": lambda: folder("mvtec_transistor"),
    "magnetic_tile": lambda: folder("magnetic_tile"),
    "mvtec_loco_juice_bottle": lambda: folder("mvtec_loco_juice_bottle"),
    "mvtec_leather_fewshot": lambda: folder("mvtec_leather_fewshot"),
    "brick_cracks": lambda: folder("brick_cracks"),
    "brain_mri": lambda: folder("brain_mri"),
    **{f"paper_piped/{p}": (lambda p=p: folder(f"paper_piped/{p}")) for p in PAPERS},
    **{f"deeppcb/{g}": (lambda g=g: boards(g)) for g in BOARDS},
    "ucsd_ped2": walkway,
    "malaria_cells": lambda: arrays("malaria_cells", 0, 64),
    "mnist/0": lambda: arrays("mnist", 0, 64),
    "mnist/8": lambda: arrays("mnist", 8, 64),
    "cifar10/1": lambda: arrays("cifar10", 1, 64),
    "cifar10/5": lambda: arrays("cifar10", 5, 64),
    "fer2013/3": lambda: arrays("fer2013", 3, 64),
}

"""Train and test parts for data that was published without them: seeded, and whole groups only."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from anomalens.datasets.task import Split
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import NORMAL

TRAIN_SHARE: Final = 0.75
UNSPLIT: Final = "published without a split"


def split_normals(images: ImageSet, *more: str, seed: int, share: float = TRAIN_SHARE) -> tuple[Split, ...]:
    """Split labelled images: a share of the normal ones to learn from, all others to test with, in order.

    Groups stay whole. An anomalous image whose group is learnt from is left out, and counted in the
    notes, to which `more` is added: its normal neighbours would give it away.
    """
    normal = [i for i, entry in enumerate(images) if entry.verdict == NORMAL]
    learnt = _draw(images, normal, seed=seed, share=share)
    groups = {images[i].group for i in learnt} - {None}
    rest = [i for i in range(len(images)) if i not in learnt]
    tested = [i for i in rest if images[i].group not in groups]
    notes = [
        f"{UNSPLIT}: {len(learnt)} of {len(normal)} normal images were drawn to learn from "
        f"(seed {seed}{', whole groups' if groups else ''})."
    ]
    if len(tested) < len(rest):
        notes.append(
            f"{len(rest) - len(tested)} anomalous images were left out: they show what normal training "
            "images show."
        )
    return (Split(None, images.subset(sorted(learnt)), images.subset(tested), (*notes, *more)),)


def split_classes(images: ImageSet, *, seed: int) -> tuple[ImageSet, ImageSet]:
    """Split class-labelled images, the same share of every class to learn from; groups stay whole."""
    by_class: dict[str | None, list[int]] = defaultdict(list)
    for index, entry in enumerate(images):
        by_class[entry.class_name].append(index)
    learnt: set[int] = set()
    for name, indices in by_class.items():
        learnt |= _draw(images, indices, seed=seed, share=TRAIN_SHARE, what=f"image(s) of the class {name!r}")
    # a group that spans classes goes where its first class drew it
    groups = {images[i].group for i in learnt} - {None}
    train = [i for i, entry in enumerate(images) if i in learnt or entry.group in groups]
    kept = set(train)
    return images.subset(train), images.subset(i for i in range(len(images)) if i not in kept)


def draw_shots(train: ImageSet, shots: int, *, seed: int) -> ImageSet:
    """That many training images, in their order; the same for the same seed, whatever the machine."""
    if shots > len(train):
        raise ImageSetError(
            f"{shots} training images were asked for and {train.origin} has {len(train)} normal ones; "
            "ask for fewer."
        )
    drawn = np.random.default_rng([seed, 1]).permutation(len(train))[:shots]
    return train.subset(sorted(int(i) for i in drawn))


def _draw(
    images: ImageSet, candidates: list[int], *, seed: int, share: float, what: str = "normal image(s)"
) -> set[int]:
    members: dict[str, list[int]] = defaultdict(list)
    for index in candidates:
        entry = images[index]
        members[f"group {entry.group}" if entry.group is not None else f"image {entry.id}"].append(index)
    if len(members) < 2:
        raise ImageSetError(
            f"{images.origin} has {len(candidates)} {what} in {len(members)} group(s), too few to "
            "leave some for testing; give at least two that show different things."
        )
    names = sorted(members)
    order = np.random.default_rng([seed, 0]).permutation(len(names))
    wanted = max(1, round(share * len(candidates)))
    drawn: set[int] = set()
    # the last group always stays for testing
    for place in order[:-1]:
        if len(drawn) >= wanted:
            break
        drawn |= set(members[names[int(place)]])
    return drawn

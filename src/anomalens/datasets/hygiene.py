"""Whether a test can be trusted: copies, near copies and groups that lie on both sides of a split.

A model that has seen a test image, or its neighbour in a film, knows it. Such a test flatters, so it is
said in words and with counts; nothing is removed, because published splits are what tables compare.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomalens.datasets.task import Task
from anomalens.errors import ImageError, SettingError
from anomalens.images.duplicates import collect, find_duplicates
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import NORMAL

LIMIT: Final = 4000
"""Images compared by content when nothing else is asked for; about ten seconds."""

SESSION_RATE: Final = 0.05
"""Share of normal test images with a near copy in training from which one session is suspected."""

MIN_ALIKE: Final = 3
"""And at least this many: one repeated photograph among sixteen says nothing about a session."""

EXAMPLES: Final = 5
_MIN_SIDE: Final = 40

Pair = tuple[str, str]


@dataclass(frozen=True)
class Hygiene:
    """What training and test of a task share.

    Attributes
    ----------
    exact, near : int
        Test images with an exact copy, and with a near copy that is no exact one, in training.
    exact_examples, near_examples : tuple of (str, str)
        Ids, training image first.
    shared_groups : tuple of str
        Declared groups with images on both sides.
    grouped : int
        Test images of those groups.
    near_normal : int
        Compared normal test images with an exact or near copy in training.
    near_rate : float or None
        Their share of the compared normal test images; None where nothing was compared by content.
    compared : int
        Images compared by content: a seeded sample where there are many, none where they are so small
        that likeness of content says nothing.
    unreadable : int
        Images that could not be read.
    warnings : tuple of str
        One sentence for each finding.
    """

    exact: int
    exact_examples: tuple[Pair, ...]
    near: int
    near_examples: tuple[Pair, ...]
    shared_groups: tuple[str, ...]
    grouped: int
    near_normal: int
    near_rate: float | None
    compared: int
    unreadable: int
    warnings: tuple[str, ...]


def check_hygiene(task: Task, *, limit: int = LIMIT, seed: int = 0) -> Hygiene:
    """Compare training and test images of a task by bytes, content and group.

    Parameters
    ----------
    task : Task
    limit : int
        At most this many images are compared by content (0: none), drawn from both sides alike.
    seed : int
        What that draw depends on.
    """
    if limit < 0:
        raise SettingError(f"The limit of images to compare is {limit}; give 0 or more.")
    hashes, unreadable = _hashes(task)
    learnt = {digest: task.train[i].id for i, digest in hashes[0].items()}
    exact = {i: learnt[digest] for i, digest in hashes[1].items() if digest in learnt}
    near, tested, compared = _near(task, limit, seed)
    only_near = {i: name for i, name in near.items() if i not in exact}
    normal = [i for i in tested if task.test[i].verdict == NORMAL]
    alike = sum(i in near or i in exact for i in normal)
    rate = alike / len(normal) if normal else None
    shared, grouped = _groups(task)
    found = Hygiene(
        len(exact), _examples(task, exact), len(only_near), _examples(task, only_near), shared, grouped,
        alike, rate, compared, unreadable, (),
    )  # fmt: skip
    return Hygiene(**{**vars(found), "warnings": tuple(_sentences(task, found, len(tested)))})


def _hashes(task: Task) -> tuple[tuple[dict[int, str], dict[int, str]], int]:
    found: tuple[dict[int, str], dict[int, str]] = ({}, {})
    unreadable = 0
    for images, digests in zip((task.train, task.test), found, strict=True):
        for index in range(len(images)):
            try:
                digests[index] = images.sha256(index)
            except ImageError:
                unreadable += 1
    return found, unreadable


def _near(task: Task, limit: int, seed: int) -> tuple[dict[int, str], list[int], int]:
    """Test index to a training id that shows nearly the same; the test images compared; how many in all."""
    train, test = _sample(task.train, limit // 2, seed), _sample(task.test, limit // 2, seed + 1)
    if not train or not test or _too_small(task.train):
        return {}, [], 0
    both = ImageSet.concatenate([task.train.subset(train), task.test.subset(test)])
    duplicates = find_duplicates(both, collect(both))
    near: dict[int, str] = {}
    for group in duplicates.near:
        learnt = [i for i in group if i < len(train)]
        if learnt:
            near |= {test[i - len(train)]: task.train[train[learnt[0]]].id for i in group if i >= len(train)}
    return near, test, duplicates.compared


def _too_small(images: ImageSet) -> bool:
    """Digits and tiny photographs of one class are alike by nature: their likeness is no copy."""
    for index in range(min(len(images), 20)):
        try:
            return min(images.read(index).size) < _MIN_SIDE
        except ImageError:
            continue
    return True


def _sample(images: ImageSet, count: int, seed: int) -> list[int]:
    if len(images) <= count:
        return list(range(len(images)))
    drawn = np.random.default_rng([seed, 3]).permutation(len(images))[:count]
    return sorted(int(i) for i in drawn)


def _groups(task: Task) -> tuple[tuple[str, ...], int]:
    learnt = {entry.group for entry in task.train} - {None}
    tested = Counter(entry.group for entry in task.test if entry.group in learnt)
    shared = sorted(group for group in tested if group is not None)
    return tuple(shared), sum(tested.values())


def _examples(task: Task, found: dict[int, str]) -> tuple[Pair, ...]:
    return tuple((name, task.test[i].id) for i, name in sorted(found.items())[:EXAMPLES])


def _sentences(task: Task, found: Hygiene, tested: int) -> list[str]:
    sentences = []
    if found.exact:
        first, second = found.exact_examples[0]
        sentences.append(
            f"{found.exact} of {len(task.test)} test images are byte for byte in the training images "
            f"(such as {second} = {first}): remove them from one side."
        )
    if found.near:
        first, second = found.near_examples[0]
        sentences.append(
            f"{found.near} of {tested} compared test images nearly equal a training image "
            f"(such as {second} and {first}): look at them."
        )
    if found.shared_groups:
        sentences.append(
            f"{found.grouped} test images belong to {len(found.shared_groups)} groups that are learnt from "
            f"(such as {found.shared_groups[0]}): the same thing is on both sides, so figures are too good."
        )
    if _same_session(task, found):
        sentences.append(
            "The normal test images seem to come from the same capture session as the training images: "
            "false alarms of a later session will be more frequent than measured."
        )
    return sentences


def _same_session(task: Task, found: Hygiene) -> bool:
    if found.near_rate is not None and found.near_rate >= SESSION_RATE and found.near_normal >= MIN_ALIKE:
        return True
    shared = set(found.shared_groups)
    return any(entry.verdict == NORMAL and entry.group in shared for entry in task.test)

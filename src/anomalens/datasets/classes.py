"""Sets of images with classes, for classifiers: every class is something to know, none is an anomaly."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from anomalens.datasets.load import read_contents
from anomalens.datasets.splitting import UNSPLIT, split_classes
from anomalens.datasets.task import Classes, Contents
from anomalens.errors import ImageSetError, SettingError, unknown_name
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import ANOMALOUS
from anomalens.images.manifest import read_manifest

_MOST_NUMBERS: Final = 100  # classes that are named by whole numbers
_PER_NUMBER: Final = 3  # images of each, on average


def load_classes(
    source: object, *, root: str | os.PathLike[str] | None = None, label: str | None = None, seed: int = 0
) -> Classes:
    """Read what each image of a set shows.

    Data of normal images and kinds of defects become classes too, "good" among them; where defects are
    published to test with only, three quarters of each kind are learnt from, and a note says so.

    Parameters
    ----------
    source : ImageSet, name or path
        A set whose entries have classes is all learnt from. Else as `load_tasks` takes it: a name that
        `anomalens datasets` lists, a folder of class folders, a CSV, an `.npz` or a tar.
    root : path-like, optional
        Where a named dataset is.
    label : str, optional
        Column of a CSV that says the class.
    seed : int
        Of the split of what was published without one.

    Raises
    ------
    ImageSetError
        Nothing says the classes, or a column holds measurements.
    SettingError
        An unknown name, or a column of what is no CSV.
    """
    if isinstance(source, ImageSet):
        return Classes(_names(source), source, ImageSet((), source.origin))
    if not isinstance(source, str | os.PathLike):
        raise SettingError(
            f"Labelled images were given as {type(source).__name__}; give a dataset's name or path, or an "
            "ImageSet with classes."
        )
    text = os.fspath(source)
    if label is not None:
        file = Path(text)
        if file.suffix.lower() != ".csv":
            raise SettingError(
                f"The column {label!r:.40} was given for {text}, which is no CSV; leave it out."
            )
        found = _by_column(file, label, seed)
    else:
        contents = read_contents(text, None if root is None else os.fspath(root), seed)
        found = contents if isinstance(contents, Classes) else _of_kinds(contents, text, seed)
    _refuse_measurements(found, label or "label")
    return found


def without_classes(classes: Classes, names: Sequence[str]) -> Classes:
    """The set without some classes; `SettingError` where one is not there."""
    for name in names:
        if name not in classes.class_names:
            raise unknown_name("class", name, classes.class_names)

    def kept(images: ImageSet) -> ImageSet:
        return replace(images, entries=tuple(e for e in images if e.class_name not in names))

    rest = tuple(name for name in classes.class_names if name not in names)
    return replace(classes, class_names=rest, train=kept(classes.train), test=kept(classes.test))


def to_test(classes: Classes) -> ImageSet:
    """What to test with: the test part, and of what was published without one everything.

    Whoever tests leaves out what the tested model has learnt from.
    """
    unsplit = any(note.startswith(UNSPLIT) for note in classes.notes) or not len(classes.test)
    return ImageSet.concatenate([classes.train, classes.test]) if unsplit else classes.test


def strangers(source: str, *, root: str | None = None, seed: int = 0) -> ImageSet:
    """Images to find as of no known class: the test part, or all where there is none."""
    contents = read_contents(source, root, seed)
    if isinstance(contents, Classes):
        return to_test(contents)
    return ImageSet.concatenate([part for split in contents for part in (split.train, split.test)])


def _by_column(file: Path, column: str, seed: int) -> Classes:
    rows = read_manifest(file, class_column=column)
    bare = [row.id for row in rows if not row.class_name]
    if bare:
        raise ImageSetError(
            f"{len(bare)} of {len(rows)} lines of the manifest {file} say nothing in the column "
            f"{column!r:.40}, such as {bare[0]}; fill it in, or leave these lines out."
        )
    splits = {row.split for row in rows}
    if None in splits and len(splits) > 1:
        raise ImageSetError(
            f"Some lines of the manifest {file} give a split and others none; write train or test on every "
            "line, or leave the column out."
        )
    parts = [
        ImageSet.from_rows([r for r in rows if r.split == part], origin=str(file))
        for part in ("train", "test")
    ]
    if splits != {None}:
        return Classes(_names(ImageSet.concatenate(parts)), parts[0], parts[1])
    everything = ImageSet.from_rows(rows, origin=str(file))
    _refuse_measurements(Classes(_names(everything), everything, parts[1]), column)
    train, test = split_classes(everything, seed=seed)
    note = f"{UNSPLIT}: three quarters of each class to learn from (seed {seed})."
    return Classes(_names(everything), train, test, None, (note,))


def _of_kinds(contents: Contents, text: str, seed: int) -> Classes:
    """Normal images and kinds of anomalies as classes."""
    assert not isinstance(contents, Classes)
    if len(contents) > 1:
        raise ImageSetError(f"{text} holds {len(contents)} datasets; give the folder of one.")
    (split,) = contents
    train, test = (
        replace(part, entries=tuple(replace(e, class_name=e.label) for e in part))
        for part in (split.train, split.test)
    )
    kinds = [i for i, entry in enumerate(test) if entry.verdict == ANOMALOUS]
    if not kinds:
        return Classes(_names(train), train, test, None, split.notes)
    learnt, tested = split_classes(test.subset(kinds), seed=seed)
    normal = test.subset([i for i, entry in enumerate(test) if entry.verdict != ANOMALOUS])
    train, test = ImageSet.concatenate([train, learnt]), ImageSet.concatenate([normal, tested])
    note = f"{len(learnt)} of {len(kinds)} defects are learnt from (seed {seed}), and not tested with."
    return Classes(_names(train), train, test, None, (*split.notes, note))


def _names(images: ImageSet) -> tuple[str, ...]:
    return tuple(sorted({entry.class_name for entry in images if entry.class_name}))


def _refuse_measurements(classes: Classes, column: str) -> None:
    """A column of ages or weights names no classes."""
    counts = Counter(entry.class_name for part in (classes.train, classes.test) for entry in part)
    try:
        values = [float(name or "") for name in counts]
    except ValueError:
        return
    whole = all(value.is_integer() for value in values)
    if whole and len(values) <= _MOST_NUMBERS and counts.total() >= _PER_NUMBER * len(values):
        return
    raise ImageSetError(
        f"The column {column!r:.40} of {classes.train.origin} holds {len(values)} different numbers, which "
        "are measurements and no classes; write ranges such as 20-29 instead."
    )

"""From a name or a path to tasks; and the list of what is known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from anomalens.datasets.catalogue import AMBIGUOUS_FORMS, DATASETS, SPECIFIC_FORMS, Dataset, canonical
from anomalens.datasets.forms import folders, manifest_csv, npz_arrays, tar_archives
from anomalens.datasets.protocols import Outsiders, make_tasks
from anomalens.datasets.selection import Selection
from anomalens.datasets.task import Classes, Contents, Form, Split, Task
from anomalens.errors import ImageSetError, SettingError, unknown_name
from anomalens.images.files import folders_in
from anomalens.images.image_set import ImageSet

_GENERIC: Final = (
    folders.CATEGORY,
    *(form for form in SPECIFIC_FORMS if form not in AMBIGUOUS_FORMS),
    manifest_csv.MANIFEST,
    folders.CATEGORIES,
    npz_arrays.NPZ,
    tar_archives.CLASS_TAR,
    folders.CLASS_PARTS,
    folders.CLASS_FOLDERS,
    folders.FLAT,
)
_MAX_SEARCHED: Final = 2_000


@dataclass(frozen=True)
class Found:
    """Where a dataset lies, and in which layout; several paths are single categories of it."""

    paths: tuple[Path, ...]
    form: Form

    @property
    def path(self) -> Path:
        """The dataset's folder, or the one above its categories."""
        return self.paths[0] if len(self.paths) == 1 else self.paths[0].parent

    def read(self, dataset: Dataset, seed: int) -> Contents:
        """The contents of all paths, categories under their names in the dataset."""
        if len(self.paths) == 1:
            return _named(dataset, self.form.read(self.paths[0], seed), self.paths[0])
        splits: list[Split] = []
        for path in self.paths:
            contents = _named(dataset, self.form.read(path, seed), path)
            assert not isinstance(contents, Classes)
            splits += contents
        return tuple(splits)


def load_tasks(
    name_or_path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    protocol: str | None = None,
    category: str | None = None,
    normal_class: str | None = None,
    shots: int | None = None,
    seed: int = 0,
    against: str | os.PathLike[str] | None = None,
) -> list[Task]:
    """Make the tasks of a dataset; images are opened when they are read.

    Parameters
    ----------
    name_or_path : str or path-like
        A name that `anomalens datasets` lists, or a folder, `.csv` manifest, `.npz` or `.tar`.
    root : path-like, optional
        Where the named dataset was unpacked: its folder, whatever it is called, or one above it.
    protocol : str, optional
        One of "split", "one-vs-rest", "leave-one-class-out", "in-vs-out", "few-shot".
    category : str, optional
        Only this one of several categories.
    normal_class : str, optional
        Class-labelled data: only this class as normal; the left-out one of leave-one-class-out; the
        normal ones of in-vs-out, separated by commas.
    shots : int, optional
        Learn from this many training images, drawn with `seed`.
    seed : int
        Also seeds the split of data that was published without one.
    against : str or path-like, optional
        For in-vs-out: another name or path whose test images are the anomalies.

    Raises
    ------
    SettingError
        For an unknown name, protocol, category or class, and options that contradict.
    ImageSetError
        When data is missing (the sentence says what to fetch, where to put it and what to repeat),
        damaged, or cannot serve the protocol.
    """
    selection = Selection(
        os.fspath(name_or_path),
        root=None if root is None else os.fspath(root),
        protocol=protocol,
        category=category,
        normal_class=normal_class,
        against=None if against is None else os.fspath(against),
        shots=shots,
    )
    return tasks_of(selection, seed=seed)


def tasks_of(selection: Selection, *, seed: int = 0) -> list[Task]:
    """The tasks that a selection gives; errors as of `load_tasks`."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingError(f"The seed is {seed!r}; give a whole number from 0.")
    root = selection.root
    dataset, contents = _read(selection.dataset, root, seed)
    outsiders = None if selection.against is None else _outsiders(selection.against, root, seed)
    return make_tasks(dataset, contents, selection, seed=seed, outsiders=outsiders)


def dataset_rows(root: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """What is known by name: plain data, and where each was found (below `root`, or installed)."""
    searched = search(Path(root)) if root is not None else []
    rows = []
    for entry in DATASETS.values():
        found = locate(entry, searched)
        rows.append({
            "name": entry.name,
            "what": entry.what,
            "licence": entry.licence,
            "page": entry.page,
            "fetch": entry.fetch,
            "package": entry.package or None,
            "downloads": [
                {"url": one.url, "sha256": one.sha256, "bytes": one.size} for one in entry.downloads
            ],
            "layout": entry.forms[0].text,
            "protocol": entry.protocol,
            "installed": found is not None,
            "path": str(found.path) if found else None,
        })  # fmt: skip
    return rows


def known_dataset(name: str) -> Dataset:
    """The dataset of this name; `SettingError` suggests the nearest one."""
    known = canonical(name)
    if known is None:
        raise unknown_name("dataset", name, DATASETS)
    return DATASETS[known]


def locate(dataset: Dataset, searched: Sequence[Path]) -> Found | None:
    """Where a dataset lies: in one of the folders, the root first, or where a package put it."""
    for form in dataset.forms:
        found = (
            folder
            for folder in searched
            if form.recognises(folder) and _plausible(dataset, form, folder, searched[0])
        )
        first = next(found, None)
        if first is None:
            continue
        if form is folders.CATEGORY and dataset.categories and first != searched[0]:
            beside = [folder for folder in found if folder.parent == first.parent]
            return Found((first, *beside), form)
        return Found((first,), form)
    installed = ((place, form) for place in dataset.places for form in dataset.forms)
    return next((Found((place,), form) for place, form in installed if form.recognises(place)), None)


def missing(dataset: Dataset, root: Path | None) -> ImageSetError:
    """One sentence: what to fetch, where to put it, what to repeat."""
    if dataset.package:
        get = f"install it ({dataset.package}), or fetch {dataset.fetch} from {dataset.page}"
    else:
        get = f"fetch {dataset.fetch}, from {dataset.page}"
    if dataset.downloads:
        get += f" (or run  anomalens datasets {dataset.name} --root DIR --download )"
    if root is None:
        return ImageSetError(
            f"{dataset.name} needs its data: {get}, and repeat with --root DIR naming its folder."
        )
    return ImageSetError(
        f"{dataset.name} was not found in {root} (its layout is {dataset.forms[0].text}): {get}, put it "
        f"there and repeat with --root {root}."
    )


def read_contents(text: str, root: str | None, seed: int) -> Contents:
    """What a name or a path holds, before any protocol; errors as of `load_tasks`."""
    return _read(text, root, seed)[1]


def _read(text: str, root: str | None, seed: int) -> tuple[str, Contents]:
    known = canonical(text)
    path = Path(text)
    if known is not None:
        # "mnist" in a folder that holds one of this name means that one
        place = Path(root) if root is not None else path if path.is_dir() else None
        found = locate(DATASETS[known], search(place) if place is not None else [])
        if found is None:
            raise missing(DATASETS[known], place)
        return known, found.read(DATASETS[known], seed)
    if root is not None and not path.is_absolute() and (Path(root) / path).exists():
        path = Path(root) / path
    if path.exists():
        return path.resolve().stem if path.is_file() else path.resolve().name, _read_path(path, seed)
    if path.suffix or os.sep in text or "/" in text:
        raise ImageSetError(f"There is no file or folder {path}; check the path.")
    raise unknown_name("dataset or folder", text, DATASETS)


def _read_path(path: Path, seed: int) -> Contents:
    for form in _GENERIC:
        if form.recognises(path):
            return form.read(path, seed)
    raise ImageSetError(
        f"{path} is no dataset that is recognised; give a folder of images, a .csv manifest, an .npz or a "
        ".tar (anomalens datasets lists what is known by name)."
    )


def _outsiders(against: str, root: str | None, seed: int) -> Outsiders:
    name, contents = _read(against, root, seed)
    if isinstance(contents, Classes):
        return name, contents.test
    return name, ImageSet.concatenate([split.test for split in contents])


def _named(dataset: Dataset, contents: Contents, path: Path) -> Contents:
    """A folder that is one category of a named dataset carries that category's name."""
    if isinstance(contents, Classes) or not dataset.categories:
        return contents
    if len(contents) == 1 and contents[0].category is None:
        name = _category_in(dataset, path.name) or path.name
        return (replace(contents[0], category=name),)
    known = tuple(split for split in contents if split.category in dataset.categories)
    return known or contents


def _category_in(dataset: Dataset, folder: str) -> str | None:
    """The category that a folder's name ends with, if no longer one of another dataset does too."""
    plain = f"_{folder.lower().replace('-', '_')}"
    near = [
        (len(name), other.name == dataset.name, name)
        for other in DATASETS.values()
        for name in other.categories
        if plain.endswith(f"_{name}") or (len(name) > 2 and f"_{name}_" in plain)
    ]
    _, own, best = max(near, default=(0, False, ""))
    return best if own else None


def _plausible(dataset: Dataset, form: Form, folder: Path, root: Path) -> bool:
    """Whether a layout that several datasets share is this one; a single one named directly is."""
    if form in SPECIFIC_FORMS:
        return True
    if form is folders.CATEGORIES:
        return any(sub.name.lower() in dataset.categories for sub in folders_in(folder))
    if folder == root:
        return True
    plain = folder.name.lower().replace("-", "_")
    if form is folders.CATEGORY and dataset.categories:
        # "mvtec_transistor" is of MVTec, "magnetic_tile" is not; a plain "tile" beside others is
        family = dataset.name.split("-")[0]
        return (plain in dataset.categories or plain.startswith(family)) and bool(
            _category_in(dataset, folder.name)
        )
    # "MNIST/raw" is MNIST: a folder above the files may carry the name
    above = [plain, *(part.lower().replace("-", "_") for part in folder.relative_to(root).parts)]
    key = dataset.name.replace("-", "")
    return any(canonical(part) == dataset.name or _has_name(key, part.replace("_", "")) for part in above)


def _has_name(key: str, plain: str) -> bool:
    """Whether a folder's name holds a dataset's, and not the longer one of another."""
    others = (name.replace("-", "") for name in DATASETS)
    return key in plain and not any(key in other and other != key and other in plain for other in others)


def search(root: Path) -> list[Path]:
    """The root, the folders in it, and the folders in those; a bounded number."""
    if not root.exists():
        raise ImageSetError(f"There is no folder {root}; check --root.")
    found = [root]
    for folder in (root, *folders_in(root)):
        found += folders_in(folder)
        if len(found) > _MAX_SEARCHED:
            break
    return found[:_MAX_SEARCHED]

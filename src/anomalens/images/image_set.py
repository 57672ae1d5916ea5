"""The ordered, lazily decoded collection of images that everything else takes.

An entry is a promise: files are opened when they are read, so a set of a million images costs its
names, and one bad file costs one answer, not the batch.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.errors import ImageError, ImageSetError
from anomalens.images.arrays import split_stack
from anomalens.images.decode import SUFFIXES, Picture
from anomalens.images.files import find_files, natural_key
from anomalens.images.image_entry import ImageEntry, file_entries, unique_ids
from anomalens.images.labels import read_labels
from anomalens.images.manifest import ManifestRow, read_manifest
from anomalens.images.mask_files import split_off_masks
from anomalens.images.references import earlier_in_clip, references_by_name

_GLOB_CHARACTERS = frozenset("*?[")

MASK: Final = "mask"
MARKED: Final = "image in which a mask marks a defect"
LEFT_OUT: Final = {MASK: "masks", MARKED: "images in which a mask marks a defect"}
"""Why an image is left out of a set, and the same of several."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in a fixed order; build one with `open` or a `from_…` constructor.

    Attributes
    ----------
    entries : tuple of ImageEntry
    origin : str
        Where the images come from, for messages.
    ignored : tuple of str
        Files that were found but are not images by their name: counted, never silently dropped.
    left_out : dict of str to str
        Images that are no pictures to look at, and why: a word of `LEFT_OUT`.
    """

    entries: tuple[ImageEntry, ...]
    origin: str
    ignored: tuple[str, ...] = field(default=())
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, source: object) -> ImageSet:
        """Make a set of whatever names images.

        Parameters
        ----------
        source : ImageSet, str, Path, list of them, ndarray or list of ndarray
            A folder, an image file, a `.csv` manifest, a pattern with `*`, `?` or `[`, several
            paths, or images in memory.

        Raises
        ------
        ImageSetError
            When it names no image at all.
        """
        if isinstance(source, ImageSet):
            return source
        if isinstance(source, str | os.PathLike):
            return cls._from_path(os.fspath(source))
        if isinstance(source, np.ndarray):
            return cls.from_arrays(source)
        if isinstance(source, Iterable):
            items = list(source)
            if items and all(isinstance(item, str | os.PathLike) for item in items):
                return cls.from_paths(items)
            return cls.from_arrays(items)
        raise ImageSetError(
            f"Images cannot be read from {type(source).__name__}; give a folder, a file, a "
            "pattern, a .csv manifest, a list of paths, or arrays."
        )

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str], *, recursive: bool = True) -> ImageSet:
        """Take the images below a folder, in the natural order of their names (2 before 10).

        Hidden files are skipped; files that are no images are listed in `ignored`, and masks in `left_out`.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ImageSetError(f"{root} is not a folder; check the path.")
        images, ignored = find_files(root, recursive=recursive)
        images, masks = split_off_masks(root, images)
        if not images:
            raise ImageSetError(
                f"{root} holds no image: {len(ignored)} other files; files named "
                f"{', '.join(sorted(SUFFIXES)[:6])} … were looked for"
                f"{'' if recursive else ' (not in its sub-folders)'}."
            )
        entries = [
            entry for path in images for entry in file_entries(path, path.relative_to(root).as_posix())
        ]
        return cls(
            tuple(entries),
            str(root),
            tuple(p.relative_to(root).as_posix() for p in ignored),
            {p.relative_to(root).as_posix(): MASK for p in masks},
        )

    @classmethod
    def from_glob(cls, pattern: str) -> ImageSet:
        """Take the files that match a pattern (`**` crosses folders); ids start behind its root."""
        fixed = []
        for part in Path(pattern).parts[:-1]:
            if _GLOB_CHARACTERS & set(part):
                break
            fixed.append(part)
        root = Path(*fixed)
        names = glob.glob(pattern, recursive=True)  # noqa: PTH207  (Path's takes no absolute pattern)
        found = sorted(map(Path, names), key=natural_key)
        files = [path for path in found if path.is_file()]
        images = [path for path in files if path.suffix.lower() in SUFFIXES]
        ignored = [path for path in files if path.suffix.lower() not in SUFFIXES]
        if not images:
            raise ImageSetError(
                f"No image matches the pattern {pattern} ({len(ignored)} other files do); "
                "check it, and quote it for the shell."
            )
        entries = [
            entry for path in images for entry in file_entries(path, path.relative_to(root).as_posix())
        ]
        return cls(tuple(entries), pattern, tuple(p.relative_to(root).as_posix() for p in ignored))

    @classmethod
    def from_paths(cls, paths: Iterable[str | os.PathLike[str]]) -> ImageSet:
        """Take files and folders, in the order given; ids are the paths as given.

        A missing file does not raise here: it becomes an entry that fails when it is read, so that
        the good ones are still answered.
        """
        entries: list[ImageEntry] = []
        ignored: list[str] = []
        left_out: dict[str, str] = {}
        given = [Path(path) for path in paths]
        if not given:
            raise ImageSetError("The list of paths is empty; give at least one image.")
        for path in given:
            if path.is_dir():
                below = cls.from_folder(path).below(path.as_posix())
                entries += below.entries
                ignored += below.ignored
                left_out |= below.left_out
            else:
                entries += file_entries(path, path.as_posix())
        origin = str(given[0]) if len(given) == 1 else f"{len(given)} paths"
        return cls(unique_ids(entries), origin, tuple(ignored), left_out)

    @classmethod
    def from_manifest(cls, csv: str | os.PathLike[str]) -> ImageSet:
        """Take the images that a CSV file lists; see `manifest`."""
        return cls.from_rows(read_manifest(csv), origin=str(csv))

    @classmethod
    def from_rows(cls, rows: Iterable[ManifestRow], *, origin: str) -> ImageSet:
        """Take the images of some rows of a manifest."""
        entries = [
            replace(
                entry,
                class_name=row.class_name,
                verdict=row.verdict,
                mask=row.mask,
                group=row.group or entry.group,
                capture=row.capture,
                reference=None if row.reference is None else ImageEntry(row.reference_id, row.reference),
            )
            for row in rows
            for entry in file_entries(row.path, row.id)
        ]
        return cls(unique_ids(entries), origin)

    @classmethod
    def from_arrays(
        cls,
        arrays: object,
        *,
        ids: Sequence[str] | None = None,
        labels: Sequence[str | None] | None = None,
        classes: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> ImageSet:
        """Take images in memory; each is validated when it is read.

        Parameters
        ----------
        arrays : ndarray or list of ndarray
            See `anomalens.images.arrays.split_stack` and `as_pixels`.
        ids, labels, classes, groups : sequences, optional
            One item an image. A label is "good" or a kind of anomaly, or 0 and 1 (see
            `anomalens.images.labels`); a class says what is shown, whatever is thought of it.
        """
        images = split_stack(arrays)
        for what, given in (("ids", ids), ("labels", labels), ("classes", classes), ("groups", groups)):
            if given is not None and len(given) != len(images):
                raise ImageSetError(
                    f"{len(given)} {what} were given for {len(images)} images; give one each."
                )
        known = read_labels(labels if labels is not None else [None] * len(images))
        entries = [
            ImageEntry(
                id=ids[i] if ids is not None else f"array-{i:04d}",
                source=image,
                class_name=(classes[i] if classes is not None else None) or known[i][0],
                verdict=known[i][1],
                group=groups[i] if groups is not None else None,
            )
            for i, image in enumerate(images)
        ]
        return cls(unique_ids(entries), f"{len(images)} arrays")

    @classmethod
    def concatenate(cls, sets: Sequence[ImageSet]) -> ImageSet:
        """Join sets in order; ids that occur twice are made unique."""
        return cls(
            unique_ids([entry for one in sets for entry in one.entries]),
            " + ".join(one.origin for one in sets),
            tuple(name for one in sets for name in one.ignored),
            {name: why for one in sets for name, why in one.left_out.items()},
        )

    @classmethod
    def _from_path(cls, text: str) -> ImageSet:
        path = Path(text)
        if path.is_dir():
            return cls.from_folder(path)
        if path.suffix.lower() == ".csv":
            return cls.from_manifest(path)
        if path.exists():
            return cls.from_paths([path])
        if _GLOB_CHARACTERS & set(text):
            return cls.from_glob(text)
        raise ImageSetError(f"There is no file or folder {text}; check the path.")

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ImageEntry]:
        return iter(self.entries)

    def __getitem__(self, index: int) -> ImageEntry:
        return self.entries[index]

    def below(self, folder: str) -> ImageSet:
        """The same images, named with this folder before their ids."""
        return replace(
            self,
            entries=tuple(
                replace(entry, id=f"{folder}/{entry.id}", group=entry.group and f"{folder}/{entry.group}")
                for entry in self.entries
            ),
            ignored=tuple(f"{folder}/{name}" for name in self.ignored),
            left_out={f"{folder}/{name}": why for name, why in self.left_out.items()},
        )

    def in_order(self) -> ImageSet:
        """The same images in the natural order of their ids."""
        order = sorted(range(len(self)), key=lambda i: natural_key(Path(self[i].id)))
        return self if order == list(range(len(self))) else self.subset(order)

    def subset(self, indices: Iterable[int]) -> ImageSet:
        """The entries at these places, in this order; `origin` and `ignored` stay."""
        return replace(self, entries=tuple(self.entries[int(i)] for i in indices))

    @property
    def left_out_in_words(self) -> str:
        """How many images were left out and why, such as "3 masks (such as a_mask.png)"; empty for none."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out.items():
            reasons.setdefault(why, []).append(name)
        return " and ".join(
            f"{len(names)} {why if len(names) == 1 else LEFT_OUT[why]} (such as {names[0]})"
            for why, names in reasons.items()
        )

    @property
    def references(self) -> ImageSet:
        """The references of those images that have one, in their order."""
        found = tuple(entry.reference for entry in self.entries if entry.reference is not None)
        return ImageSet(found, f"the references of {self.origin}")

    def with_earlier(self, frames: int) -> ImageSet:
        """The same images, each with the one so many before it in its clip as its reference."""
        return replace(self, entries=earlier_in_clip(self.entries, frames))

    def with_references(self, source: object) -> ImageSet:
        """The same images, each with its reference where there is one, else with the one that it had.

        Parameters
        ----------
        source : str, Path, or anything that `ImageSet.open` takes
            References in a folder, pattern or manifest are found by their names (see
            `anomalens.images.references`); a list, an array or an `ImageSet` is in the order of the images.
            One reference alone belongs to every image.

        Raises
        ------
        ImageSetError
            No image finds a reference, two references of one name could be meant, or their number differs
            from that of the images.
        """
        references = ImageSet.open(source)
        if len(references) == 1:
            found: Sequence[ImageEntry | None] = [references[0]] * len(self)
        elif isinstance(source, str | os.PathLike):
            found = references_by_name(self.entries, references.entries, origin=references.origin)
        elif len(references) == len(self):
            found = references.entries
        else:
            raise ImageSetError(
                f"{len(references)} references were given for {len(self)} images; give one each in the same "
                "order, or one for all."
            )
        pairs = zip(self.entries, found, strict=True)
        return replace(self, entries=tuple(replace(a, reference=b or a.reference) for a, b in pairs))

    def read(self, index: int, *, reduce_to: int | None = None) -> Picture:
        """Decode one image."""
        return self.entries[index].read(reduce_to=reduce_to)

    def sha256(self, index: int) -> str:
        """Hash one image's bytes; see `ImageEntry.sha256`."""
        return self.entries[index].sha256()

    def data_sha256(self) -> str:
        """Hash the whole set, whatever its order: over sorted ids and hashes, one file at a time.

        An unreadable image counts as such, so that the hash of a set with bad files is stable.
        """
        digest = hashlib.sha256()
        for index in sorted(range(len(self)), key=lambda i: self.entries[i].id):
            try:
                content = self.sha256(index)
            except ImageError:
                content = "unreadable"
            digest.update(f"{self.entries[index].id}\0{content}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

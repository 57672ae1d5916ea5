"""Normal images made ready to learn from: decoded once, prepared, grouped, with augmented copies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError, ImageSetError
from anomalens.images.arrays import Pixels
from anomalens.images.augment import Augmentation
from anomalens.images.duplicates import Thumbnails, group_images
from anomalens.images.facts import Facts
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.steps import highest_of
from anomalens.inspector.pairs import Pair, stream_pairs
from anomalens.progress import Progress, silent

CACHE_BYTES: Final = 256 * 10**6  # prepared images kept in memory; the rest is decoded again


@dataclass
class _Seen:
    """What one pass over the images gave; see `TrainingSet`."""

    thumbnails: Thumbnails = field(default_factory=Thumbnails)
    good: list[int] = field(default_factory=list)
    problems: list[ImageError] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    equal: list[bool] = field(default_factory=list)
    highest: float | None = 0.0
    cache: list[Pair] | None = field(default_factory=list)
    held: int = 0  # bytes in the cache

    def add(self, index: int, pair: Pair) -> None:
        """Take an image that can be read."""
        self.thumbnails.add(len(self.good), pair.image.pixels)
        self.good.append(index)
        self.sizes.append(pair.image.original_size)
        self.facts.append(Facts.of(pair.image))
        self.highest = highest_of(self.highest, pair.image.pixels)
        self.equal.append(pair.reference is None or pair.equal)
        self.held += pair.image.pixels.nbytes * (1 if pair.reference is None else 2)
        if self.cache is not None and self.held <= CACHE_BYTES:
            self.cache.append(pair)
        else:
            self.cache = None


@dataclass(frozen=True)
class TrainingSet:
    """The `TrainingImages` that detectors learn from.

    Each original image is followed by its augmented copies, which share its group.

    Attributes
    ----------
    images : ImageSet
        The readable images.
    preprocessing : Preprocessing
    group_names : tuple of str
        One per image.
    problems : tuple of ImageError
        Images that could not be read and were left out.
    augmentation : Augmentation or None
    copies : int
        Augmented copies per image.
    seed : int
    paired : bool
        Whether each image comes with its reference.
    equal : tuple of bool
        One per image: whether it is its own reference, or has none.
    facts : tuple of Facts
        One per image.
    highest : float or None
        The highest value of all images, 0-255; None where some have 8 bits.
    captures_by : "declared" or "folders"
        What says which day, shift or camera an image is of.
    """

    images: ImageSet
    preprocessing: Preprocessing
    group_names: tuple[str, ...]
    problems: tuple[ImageError, ...] = ()
    augmentation: Augmentation | None = None
    copies: int = 0
    seed: int = 0
    odd_sizes: tuple[str, ...] = ()
    paired: bool = False
    cache: tuple[Pair, ...] | None = None
    equal: tuple[bool, ...] = ()
    facts: tuple[Facts, ...] = ()
    highest: float | None = None
    captures_by: str = "declared"

    @classmethod
    def collect(
        cls,
        images: ImageSet,
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        copies: int = 0,
        seed: int = 0,
        paired: bool = False,
        find_groups: bool = True,
        progress: Progress = silent,
    ) -> TrainingSet:
        """Decode and prepare every image once; find unreadable ones, groups and odd sizes.

        With `paired` references are read too, and an image whose reference cannot be used is left out.

        Raises
        ------
        ImageSetError
            No image can be read.
        """
        seen = _Seen()
        steps = stream_pairs(images, preprocessing, paired=paired)
        for index, (_, pair) in enumerate(progress(steps, label="reading images", total=len(images))):
            if isinstance(pair, ImageError):
                seen.problems.append(pair)
            else:
                seen.add(index, pair)
        if not seen.good:
            raise ImageSetError(_nothing_readable(images, seen.problems))
        readable = images.subset(seen.good)
        return cls(
            readable,
            preprocessing,
            tuple(group_images(readable, seen.thumbnails, find=find_groups)),
            tuple(seen.problems),
            augmentation,
            copies if augmentation is not None else 0,
            seed,
            _odd_sizes(readable, seen.sizes),
            paired,
            None if seen.cache is None else tuple(seen.cache),
            tuple(seen.equal),
            tuple(seen.facts),
            seen.highest,
        )

    @property
    def ids(self) -> Sequence[str]:
        return [
            name if copy == 0 else f"{name} (copy {copy})"
            for name in self.names
            for copy in range(self.copies + 1)
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The images' ids, without the folder that absolute ones share: some detectors keep them in the
        model file, and where its maker keeps pictures is nobody's business."""
        ids = [entry.id for entry in self.images]
        if not all(PurePath(name).is_absolute() for name in ids):
            return tuple(ids)
        shared = os.path.commonpath([os.path.dirname(name) for name in ids])  # noqa: PTH120
        return tuple(PurePath(os.path.relpath(name, shared)).as_posix() for name in ids)

    @property
    def groups(self) -> NDArray[np.int64]:
        _, numbers = np.unique(np.array(self.group_names), return_inverse=True)
        return np.repeat(numbers.astype(np.int64), self.copies + 1)

    @property
    def classes(self) -> Sequence[str | None]:
        return [entry.class_name for entry in self.images for _ in range(self.copies + 1)]

    @property
    def poses_added(self) -> bool:
        """Whether copies lie otherwise than the pictures do."""
        return self.augmentation is not None and self.copies > 0 and self.augmentation.moves

    @property
    def n_groups(self) -> int:
        return len(set(self.group_names))

    @property
    def captures(self) -> tuple[str, ...]:
        """One per image: the day, shift or camera that it is of; none where nothing says so."""
        if self.captures_by == "folders":
            return tuple(PurePath(entry.id).parent.as_posix() for entry in self.images)
        found = tuple(entry.capture or "" for entry in self.images)
        return found if any(found) else ()

    @property
    def capture_numbers(self) -> NDArray[np.int64] | None:
        """int64 [n] with copies, one number a capture; None where there are no two of them."""
        names, numbers = np.unique(np.array(self.captures), return_inverse=True)
        return np.repeat(numbers.astype(np.int64), self.copies + 1) if len(names) > 1 else None

    @property
    def originals(self) -> NDArray[np.int64]:
        """int64: where the images themselves stand among their copies."""
        return np.arange(len(self.images), dtype=np.int64) * (self.copies + 1)

    @property
    def real_pairs(self) -> NDArray[np.bool_]:
        """bool [n]: where an image, or a copy of it, has a reference that is another picture."""
        return np.repeat(~np.array(self.equal, bool), self.copies + 1)

    @property
    def size(self) -> tuple[int, int]:
        width, height = self.preprocessing.output_size
        return height, width

    def __len__(self) -> int:
        return len(self.images) * (self.copies + 1)

    def __iter__(self) -> Iterator[Pixels]:
        if self.cache is None:
            return self._with_copies(self._read(self.images))
        return self._with_copies(pair.image.pixels for pair in self.cache)

    @property
    def references(self) -> Iterator[Pixels] | None:
        """Each image's reference, changed like the copy that it belongs to; None without references."""
        if not self.paired:
            return None
        if self.cache is None:
            return self._with_copies(self._read(self.images.references))
        return self._with_copies(pair.reference for pair in self.cache if pair.reference is not None)

    def _with_copies(self, images: Iterable[Pixels]) -> Iterator[Pixels]:
        for index, pixels in enumerate(images):
            yield pixels
            if self.augmentation is not None and self.copies:
                yield from self.augmentation.copies(pixels, image_index=index, n=self.copies, seed=self.seed)

    def subset(self, indices: Sequence[int]) -> TrainingSet:
        """Only some of the images (with their copies)."""
        return replace(
            self,
            images=self.images.subset(indices),
            group_names=tuple(self.group_names[i] for i in indices),
            equal=tuple(self.equal[i] for i in indices),
            cache=None if self.cache is None else tuple(self.cache[i] for i in indices),
        )

    def _read(self, images: ImageSet) -> Iterator[Pixels]:
        for _, pair in stream_pairs(images, self.preprocessing, paired=False):
            if isinstance(pair, ImageError):  # it was readable a moment ago
                raise pair
            yield pair.image.pixels


def _nothing_readable(images: ImageSet, problems: Sequence[ImageError]) -> str:
    if not problems:
        return f"There are no images in {images.origin}; give a folder, glob or manifest with some."
    return (
        f"None of the {len(problems)} images in {images.origin} can be read; "
        f"the first problem is {problems[0]}"
    )


def _odd_sizes(images: ImageSet, sizes: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Ids of the few images whose size differs where nearly all have the same."""
    values, counts = np.unique(np.array(sizes), axis=0, return_counts=True)
    common = values[counts.argmax()]
    if counts.max() < 0.9 * len(sizes):
        return ()
    return tuple(images[i].id for i, size in enumerate(sizes) if (size[0], size[1]) != tuple(common))

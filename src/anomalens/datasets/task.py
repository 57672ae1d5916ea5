"""What `load_tasks` gives, and what the readers of each layout give to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from anomalens.images.image_set import ImageSet

PROTOCOLS: Final = ("split", "one-vs-rest", "leave-one-class-out", "in-vs-out", "few-shot")


@dataclass(frozen=True, eq=False)
class Task:
    """One thing to fit and to test.

    Attributes
    ----------
    dataset : str
        Name of the dataset, or of the folder or file for one that has no name here.
    protocol : str
        One of `PROTOCOLS`.
    category : str or None
        A dataset of several products, papers or boards is one task for each.
    normal_class : str or None
        In class-labelled data the class or classes that count as normal.
    shots : int or None
        How many training images were drawn, where a number was asked for.
    train : ImageSet
        Normal images, all labelled "good"; groups where they are known.
    test : ImageSet
        Labelled "good" or with the kind of anomaly; masks where there are any.
    notes : tuple of str
        What a reader of the figures must know.
    references : ImageSet or None
        For template pairs: `references[i]` shows what `test[i]` should look like.
    """

    dataset: str
    protocol: str
    category: str | None
    normal_class: str | None
    shots: int | None
    train: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()
    references: ImageSet | None = None

    @property
    def name(self) -> str:
        """The dataset with what tells its tasks apart, for tables."""
        parts = [self.dataset, self.category, self.normal_class]
        if self.shots is not None:
            parts.append(f"{self.shots}-shot")
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, eq=False)
class Split:
    """Normal images to learn from, and labelled images to test with."""

    category: str | None
    train: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()
    references: ImageSet | None = None


@dataclass(frozen=True, eq=False)
class Classes:
    """Images whose labels are classes, none of them normal until a protocol says so.

    Attributes
    ----------
    class_names : tuple of str
    train, test : ImageSet
        Labelled with names of `class_names`; `train` may be empty.
    normal_class : str or None
        The class that is normal by its name ("uninfected"), where there is one.
    """

    class_names: tuple[str, ...]
    train: ImageSet
    test: ImageSet
    normal_class: str | None = None
    notes: tuple[str, ...] = ()


Contents = Classes | tuple[Split, ...]


@dataclass(frozen=True)
class Form:
    """One layout: how it is recognised, cheaply, and how it is read.

    Attributes
    ----------
    text : str
        The layout in words.
    recognises : callable
        Whether a folder or file is laid out so; looks at names only.
    read : callable
        Its contents; the second argument seeds the split of what was published without one.
    """

    text: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, int], Contents] = field(repr=False)

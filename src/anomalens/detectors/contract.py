"""The contract of a detector, on one screen.

A detector learns from prepared normal images, and gives every image a raw score: a float, unbounded,
**higher means more anomalous**, never a probability and never a verdict. What it learnt is a `State`
of plain arrays, ONNX graphs and numbers, from which an equal detector is rebuilt without its training
code. `anomalens.detectors.checks.check_detector` tests all of this for any class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.settings import Settings as Settings
from anomalens.detectors.settings import parameter as parameter
from anomalens.images.arrays import Pixels
from anomalens.job import Job


@dataclass(frozen=True)
class Batch:
    """Images to score, with what some methods need to know about them.

    Attributes
    ----------
    images : sequence of uint8 or float32 [h, w, 3]
        Prepared images, RGB, 0–255.
    ids : sequence of str
    groups : sequence of str or None
        Which part, patient or clip each image shows.
    references : sequence of images or None
        Each image's own template, for methods that compare pairs.
    """

    images: Sequence[Pixels]
    ids: Sequence[str]
    groups: Sequence[str] | None = None
    references: Sequence[Pixels] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Scores:
    """What a detector answers.

    Attributes
    ----------
    image : float64 [n]
        Raw scores, higher means more anomalous.
    maps : float32 [n, h, w] or None
        Anomaly maps at the size of the prepared images, for pixel-level detectors.
    parts : mapping of str to float64 [n]
        What the score was made of, by name, where it has several parts; for reports.
    explain : callable of int to Reasons, or None
        Why the image at this place scores as it does, from what scoring it found out already: nothing is
        computed for images that nobody asks about. None from methods that have nothing to say beyond a map.
    labels : sequence of str
        Of classifiers: the most likely class of each image, whether it is of one of them or not.
    confidence : float64 [n] or None
        Of classifiers: the probability of that class, if the image is of one of them.
    """

    image: NDArray[np.float64]
    maps: NDArray[np.float32] | None = None
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    explain: Callable[[int], Reasons] | None = None
    labels: Sequence[str] = ()
    confidence: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Part:
    """A named part of an image's features, or a detector of several, and how much it adds to the score."""

    name: str
    contribution: float


@dataclass(frozen=True)
class Neighbour:
    """A normal image that the detector learnt from, by its id, and how far it is."""

    image: str
    distance: float


@dataclass(frozen=True)
class Reasons:
    """Why an image scores as it does.

    `parts` have the largest contribution first, in the detector's own units, which sum to no total; `nearest`
    are the most similar normal images, nearest first; `said` is anything else, in words.
    """

    parts: tuple[Part, ...] = ()
    nearest: tuple[Neighbour, ...] = ()
    said: str = ""


@dataclass(frozen=True)
class State:
    """What a detector learnt: numbers go into the card, arrays and graphs into files of their own."""

    numbers: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    graphs: Mapping[str, bytes] = field(default_factory=dict)


class TrainingImages(Protocol):
    """Normal images to learn from; may be passed over more than once, always in the same order."""

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def groups(self) -> NDArray[np.int64]:
        """int64 [n]: images with the same number show the same thing and must not be separated."""

    @property
    def classes(self) -> Sequence[str | None]:
        """What each image shows, where that is known: for methods that tell classes apart."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of every prepared image."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Pixels]: ...


def references_of(images: TrainingImages) -> Iterable[Pixels] | None:
    """Each image's own template, in the order of the images; None where none were given.

    Training images that have them carry them as `references`; others need not know of it.
    """
    references: Iterable[Pixels] | None = getattr(images, "references", None)
    return references


class Detector(ABC):
    """Base of all detectors; what `fit` learnt ends in `_`.

    What a detector says of itself (`name` to `uses_references`) are class attributes; those that are made of
    others (`Combine`, `Tiled`) ask them. `settings_type` is the frozen dataclass of its parameters.
    """

    settings_type: ClassVar[type[Settings]]

    @property
    @abstractmethod
    def name(self) -> str:
        """The detector's name on the command line."""

    @property
    @abstractmethod
    def family(self) -> str:
        """One of "density", "one-class", "reconstruction", "self-supervised", "patches", "motion" and
        "classifier"."""

    @property
    @abstractmethod
    def pixel_level(self) -> bool:
        """Whether `score` gives maps."""

    @property
    def holds_out(self) -> bool:
        """Whether the scores that `fit` returns are of images kept from learning, NaN for the others."""
        return False

    @property
    def from_scratch(self) -> bool:
        """Whether it trains a network on pixels alone; such networks see smaller images."""
        return False

    @property
    def uses_references(self) -> bool:
        """Whether it compares each image with its own template, `Batch.references`."""
        return False

    @property
    def earlier(self) -> int:
        """How many frames before an image, in its clip, its reference is; 0 where references are others."""
        return 0

    @property
    def needs_classes(self) -> bool:
        """Whether it learns from `TrainingImages.classes`, of which each image then has one."""
        return False

    @property
    def made_of(self) -> Sequence[Detector]:
        """The detectors that it is made of; none for one that learns by itself."""
        return ()

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings if settings is not None else self.settings_type()

    @abstractmethod
    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        """Learn what normal looks like.

        Parameters
        ----------
        images : TrainingImages
        job : Job

        Returns
        -------
        Scores or None
            Out-of-fold scores of the training images, in their order, where the method gets them
            from the same run (each image scored as if its whole group had been left out; only the
            maps' maxima are needed, so maps may be [n, 1, 1]). None asks the caller to cross-fit.
        """

    @abstractmethod
    def score(self, batch: Batch) -> Scores:
        """Score images. An image's score never depends on the others in its batch."""

    @abstractmethod
    def state(self) -> State:
        """What was learnt, complete."""

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        """Rebuild a detector that scores bit-identically on the same runtime.

        Parameters
        ----------
        state : State
        size : (height, width)
            The prepared images' size, in pixels.
        runtime : Runtime
            What executes the graphs.
        """
        raise NotImplementedError(f"{cls.__name__} has no from_state, which rebuilds one from its state.")

    def rebuilt(self, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        """Another one of this kind, with what a state says was learnt; see `from_state`."""
        return type(self).from_state(state, size=size, runtime=runtime)

    def fresh(self) -> Self:
        """Another one with the same parameters, which has learnt nothing."""
        return type(self)(self.settings)

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter and its value, for cards."""
        return self.settings.to_plain()

    @property
    def notes(self) -> tuple[str, ...]:
        """What `fit` chose by itself and why, in sentences for people."""
        return ()

    @property
    def curves(self) -> Mapping[str, Sequence[float]]:
        """Losses per epoch by name, of detectors that train a network."""
        return {}

    def part_thresholds(self, threshold: float) -> Mapping[str, float]:
        """Above which value each of the score's parts takes the score above a threshold, in its own unit.

        Detectors have such values whose score is the largest of its parts on a common scale.
        """
        return {}

    def on_runtime(self, runtime: Runtime, *, size: tuple[int, int]) -> Self:
        """The same detector, its graphs executed by another runtime."""
        return self.rebuilt(self.state(), size=size, runtime=runtime)

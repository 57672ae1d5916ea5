"""Base of the detectors that score patches by views: features → views → raw scores and a map, one graph.

A detector says how it learns (`learn`), what its raw scores are (`raw`) and how they become one (`fused`);
the rest is here: the calibration's left-out scores, the answer to an image, the state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import Batch, Detector, Reasons, Scores, State, TrainingImages
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.views.maps import MAP
from anomalens.detectors.patches.views.view import Floats, Grid
from anomalens.errors import ModelFileError, SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job

Raw = Mapping[str, float]  # raw scores of one image by name
_GRAPH: Final = "patches"


@dataclass(frozen=True)
class LeftOut:
    """A normal image as models say that have not learnt from its group.

    Attributes
    ----------
    image : int
    raw : mapping of str to float
    highest : float
        The largest value of its map.
    """

    image: int
    raw: Raw
    highest: float


@dataclass(frozen=True)
class Learnt:
    """What `learn` gives: the network that scores, and the left-out images as they are asked for."""

    network: FeatureNetwork
    left_out: Iterable[LeftOut]


class PatchDetector(Detector):
    """Scores an image by views of its patches.

    Class attributes
    ----------------
    outputs : names of what is needed of the graph's outputs, the map among them
    says_why : whether `reasons` has something to say
    """

    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...]]
    says_why: ClassVar[bool] = False

    _network: FeatureNetwork
    _size: tuple[int, int]
    _grid: Grid

    @abstractmethod
    def learn(self, images: TrainingImages, job: Job) -> Learnt:
        """Learn from at least one image; sets what `raw` and `fused` need, and `_grid`.

        The left-out images may be iterated over lazily: `fused` is asked as they come.
        """

    @abstractmethod
    def raw(self, outputs: Mapping[str, Floats]) -> Raw:
        """Raw scores by name, from the graph's outputs."""

    def fused(self, raw: Raw) -> float:
        """The image's score."""
        (value,) = raw.values()
        return value

    def reasons(self, raw: Raw) -> Reasons:
        """What adds to the score, where several raw scores do."""
        return Reasons()

    def numbers(self) -> dict[str, Any]:
        """What was learnt beside the network, in plain numbers."""
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learnt beside the network, in arrays."""
        return {}

    @classmethod
    def restored(cls, state: State) -> Self:
        """A detector with what `numbers` and `arrays` gave; nothing is trusted."""
        return cls()

    def fit(self, images: TrainingImages, job: Job) -> Scores:
        if not len(images):
            raise SettingError(f"{self.name} needs at least one normal image to fit and was given none.")
        self._size = images.size
        learnt = self.learn(images, job)
        self._network = learnt.network
        scores = np.full(len(images), np.nan)
        maxima = np.full((len(images), 1, 1), np.nan, np.float32)
        for one in learnt.left_out:
            scores[one.image] = self.fused(one.raw)
            maxima[one.image] = one.highest
        return Scores(scores, maxima)

    def look(self, image: Pixels) -> dict[str, Floats]:
        """What the graph gives for a prepared image, by name: `outputs`."""
        return self._network.named(image, self.outputs)

    def score(self, batch: Batch) -> Scores:
        scores = np.empty(len(batch), np.float64)
        maps = np.empty((len(batch), *self._size), np.float32)
        raws: list[Raw] = []
        for i, image in enumerate(batch.images):
            outputs = self.look(image)
            maps[i] = outputs[MAP]
            raws.append(self.raw(outputs))
            scores[i] = self.fused(raws[-1])
        return Scores(scores, maps, explain=(lambda i: self.reasons(raws[i])) if self.says_why else None)

    def state(self) -> State:
        return State(
            numbers={**self._network.numbers(), "grid": list(self._grid), **self.numbers()},
            arrays=self.arrays(),
            graphs={_GRAPH: self._network.graph},
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        detector = cls.restored(state)
        detector._size = size
        height, width = n.get("grid", size)
        detector._grid = int(height), int(width)
        if not (1 <= height <= size[0] and 1 <= width <= size[1]):
            raise ValueError(f"the grid {[height, width]} does not fit images of {list(size)}")
        (graph,) = state.graphs.values()
        detector._network = FeatureNetwork.from_numbers(n, graph, size=size, runtime=runtime)
        return detector

    def on_grid(self, distances: Floats) -> Floats:
        """The distances, which must lie on the grid that was learnt."""
        if distances.shape != self._grid:
            raise ModelFileError(
                f"The model's network gives distances {list(distances.shape)} where {list(self._grid)} were "
                "learnt; fit the model again."
            )
        return distances

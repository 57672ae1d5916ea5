"""What a network is to the classifier, and what learning one gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.classifier.heads import Labels
from anomalens.detectors.classifier.outputs import LastLayer, Outputs
from anomalens.detectors.contract import State
from anomalens.images.arrays import Pixels


class Network(Protocol):
    """Prepared image → logits and features, one image at a time."""

    @property
    def last(self) -> LastLayer: ...

    def __call__(self, image: Pixels) -> Outputs:
        """Of one image: [1, c] and [1, d]."""

    def state(self) -> State: ...


@dataclass(frozen=True)
class Judged:
    """Outputs of some images, of a network that has not learnt from them, and of those it did learn from.

    Attributes
    ----------
    rows : int64 [m]
        Which images were left out.
    left_out, learnt : Outputs
    labels : int64
        Of the learnt ones.
    last : LastLayer
    """

    rows: NDArray[np.int64]
    left_out: Outputs
    learnt: Outputs
    labels: Labels
    last: LastLayer


@dataclass(frozen=True)
class Learnt:
    """A network, what it says of the images it learnt from, and what such ones say of images left out."""

    network: Network
    outputs: Outputs
    labels: Labels
    judged: tuple[Judged, ...]
    notes: tuple[str, ...] = ()
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)

"""A network that was trained to classify, as one graph from the image to logits and features.

Who trains it is `anomalens.training.classifier.train`, which is loaded where it is asked for and needs torch.
It judges images that it held out: the network that was calibrated is the one that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.classifier.heads import Labels, last_layer
from anomalens.detectors.classifier.learnt import Judged, Learnt
from anomalens.detectors.classifier.outputs import LastLayer, Outputs
from anomalens.detectors.classifier.settings import FROZEN, ClassifierSettings
from anomalens.detectors.contract import State, TrainingImages
from anomalens.detectors.network import FeatureNetwork
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.training.recipe import Recipe

GRAPH: Final = "graph"
_TRAINING: Final = "anomalens.training.classifier"
_OUTPUTS: Final = ("logits", "features")


class TrainedClassifier(Protocol):
    """What a training gives.

    Attributes
    ----------
    graph : bytes
        ONNX, from float32 [1, 3, h, w], 0–1, to `logits` [1, c] and `features` [1, d].
    weight, bias : float32 [c, d], [c]
        Of the last layer.
    held_out : int64 [m]
        Rows that it did not learn from.
    notes : sequence of str
    curves : mapping of str to sequence of float
    """

    graph: bytes
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    held_out: NDArray[np.int64]
    notes: Sequence[str]
    curves: Any


class Train(Protocol):
    """Trains a network on images and their labels, int64 [n]."""

    def __call__(
        self,
        images: TrainingImages,
        labels: Labels,
        names: Sequence[str],
        settings: Recipe,
        job: Job,
    ) -> TrainedClassifier: ...


@dataclass(frozen=True)
class GraphNetwork:
    """A trained network."""

    network: FeatureNetwork
    last: LastLayer

    def __call__(self, image: Pixels) -> Outputs:
        given = self.network.named(image, _OUTPUTS)
        return Outputs(*(np.atleast_2d(given[name]) for name in _OUTPUTS))

    def state(self) -> State:
        arrays = {"last_weight": self.last.weight, "last_bias": self.last.bias}
        plain = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
        return State({"network": GRAPH, **self.network.numbers()}, plain, {GRAPH: self.network.graph})

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> GraphNetwork:
        """Rebuild what `state` described; nothing about it is trusted."""
        network = FeatureNetwork.from_numbers(state.numbers, state.graphs[GRAPH], size=size, runtime=runtime)
        return cls(network, last_layer(state.arrays))


def trained_network(
    settings: ClassifierSettings,
    images: TrainingImages,
    labels: Labels,
    names: Sequence[str],
    job: Job,
    *,
    train: Train | None = None,
) -> Learnt:
    """Train, and ask the network about every image once.

    Parameters
    ----------
    train : Train, optional
        By default that of `anomalens.training.classifier`.

    Raises
    ------
    SettingError
        The training is unknown.
    """
    recipe = Recipe(**{f.name: getattr(settings, f.name) for f in fields(Recipe)})
    trained = (train or _loaded(settings.train))(images, labels, names, recipe, job)
    network = GraphNetwork(
        FeatureNetwork(
            trained.graph,
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
            size=images.size,
            runtime=job.runtime,
            backbone={"name": settings.train, "trained": "here"},
        ),
        LastLayer(trained.weight, trained.bias),
    )
    steps = job.progress(images, label="asking the network", total=len(images))
    each = [network(image) for image in steps]
    outputs = Outputs(
        np.concatenate([one.logits for one in each]), np.concatenate([one.features for one in each])
    )
    held = np.isin(np.arange(len(images)), trained.held_out)
    learnt, left_out = (Outputs(outputs.logits[rows], outputs.features[rows]) for rows in (~held, held))
    judged = Judged(np.flatnonzero(held), left_out, learnt, labels[~held], network.last)
    return Learnt(
        network, learnt, labels[~held], (judged,) if held.any() else (), tuple(trained.notes), trained.curves
    )


def _loaded(name: str) -> Train:
    try:
        found: Train = import_module(_TRAINING).train
    except ModuleNotFoundError as error:
        if error.name != _TRAINING:
            raise
        raise SettingError(
            f"The training {name!r:.40} is not there; write train={FROZEN}, which trains a head only."
        ) from None
    return found

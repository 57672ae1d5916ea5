"""From an image to logits and features: the one place that knows which network a classifier is.

`frozen` is a backbone whose features stay as they are, and a head on them; it is learnt here, without torch.
Linear heads are cheap, so each image is judged by one that has seen nothing of its group. A hidden layer has
features of its own, of which those of another one say nothing: it judges images that it was kept from. All
else that `train` names is trained by `trained.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.classifier.heads import Floats, Head, Labels, learn_head
from anomalens.detectors.classifier.learnt import Judged, Learnt, Network
from anomalens.detectors.classifier.outputs import LastLayer, Outputs
from anomalens.detectors.classifier.settings import FROZEN, STRENGTHS, ClassifierSettings
from anomalens.detectors.classifier.trained import GRAPH, GraphNetwork, trained_network
from anomalens.detectors.contract import State, TrainingImages
from anomalens.detectors.features.cache import FeatureCache
from anomalens.detectors.features.extractor import Extractor
from anomalens.detectors.features.making import extractor_from_state, learn_extractor
from anomalens.detectors.features.space import FeatureSpace
from anomalens.detectors.folds import FOLDS, MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.metrics.classification import temperature

_USUAL: Final = 0.01  # strength of a hidden layer's penalty, whose search would take minutes


@dataclass(frozen=True)
class FrozenNetwork:
    """A backbone's features, scaled, and a head."""

    extractor: Extractor
    space: FeatureSpace
    head: Head

    @property
    def last(self) -> LastLayer:
        return self.head.last

    def __call__(self, image: Pixels) -> Outputs:
        # one row at a time: a product of many rows may round otherwise than that of one
        return self.head.outputs(self.space.apply(self.extractor(image)[None]))

    def state(self) -> State:
        return State(
            {"network": FROZEN, "features": self.extractor.numbers()},
            {**self.space.arrays(), **self.head.arrays()},
            self.extractor.graphs(),
        )


def network_from_state(state: State, *, size: tuple[int, int], runtime: Runtime) -> Network:
    """Rebuild what a network's `state` described."""
    kind = state.numbers["network"]
    if kind == GRAPH:
        return GraphNetwork.from_state(state, size=size, runtime=runtime)
    if kind != FROZEN:
        raise ValueError(f"a network of the unknown kind {kind!r:.40}")
    extractor = extractor_from_state(state, size=size, runtime=runtime)
    found = FrozenNetwork(extractor, FeatureSpace.from_arrays(state.arrays), Head.from_arrays(state.arrays))
    # arrays that do not fit one another fail here and not on the first image
    found.head.outputs(found.space.apply(found.space.mean[None]))
    return found


def learn_network(
    settings: ClassifierSettings,
    images: TrainingImages,
    labels: Labels,
    names: Sequence[str],
    job: Job,
) -> Learnt:
    """The network that the settings ask for, and what it says of images that it did not learn from.

    Raises
    ------
    SettingError
        The training is unknown, or the features learn from images.
    """
    if settings.train != FROZEN:
        return trained_network(settings, images, labels, names, job)
    extractor, unseen = learn_extractor(settings, images, job)
    if len(unseen) < len(images):
        raise SettingError(
            f"Features of the kind {settings.features!r} are learnt from half of the images; a classifier "
            "takes pretrained, pixels or texture."
        )
    if job.features is not None:
        extractor = FeatureCache(job.features).through(extractor, runtime=job.runtime)
    steps = job.progress(images, label="reading features", total=len(images))
    x = np.stack([extractor(image) for image in steps])
    groups = np.asarray(images.groups)
    if settings.head == "mlp":
        return _held_out(extractor, x, labels, groups, settings, job)
    strength, judged = _left_out(x, labels, groups, settings, job)
    space, head = _fitted(x, labels, settings, strength, job.seed)
    notes = (f"the head's strength is {strength:g}",) if not settings.strength else ()
    network = FrozenNetwork(extractor, space, head)
    return Learnt(network, head.outputs(space.apply(x)), labels, judged, notes)


def _fitted(
    x: Floats, labels: Labels, settings: ClassifierSettings, strength: float, seed: int
) -> tuple[FeatureSpace, Head]:
    space = FeatureSpace.learn(x, scaling=settings.used_scaling, components=settings.kept_components)
    # what scores from now on is what the state rebuilds, memory layout and all: equal bit for bit
    plain = {name: np.ascontiguousarray(array) for name, array in space.arrays().items()}
    space = FeatureSpace.from_arrays(plain)
    head = learn_head(space.apply(x), labels, settings, strength=strength, seed=seed)
    return (space, head) if head.hidden is not None else _unscaled(space, head)


def _unscaled(space: FeatureSpace, head: Head) -> tuple[FeatureSpace, Head]:
    """The same linear head on features as the network gives them, its scaling folded into the last layer.

    Scaled features are as wide where nothing is told as where much is: neighbours among them are chance.
    """
    if space.axes is not None or space.white is not None:
        return space, head
    weight = head.last.weight / space.scale
    bias = head.last.bias - weight @ space.origin
    bare = replace(space, origin=np.zeros_like(space.origin), scale=np.ones_like(space.scale))
    return bare, Head(LastLayer(np.ascontiguousarray(weight, np.float32), bias.astype(np.float32)))


def _held_out(
    extractor: Extractor,
    x: Floats,
    labels: Labels,
    groups: NDArray[np.int64],
    settings: ClassifierSettings,
    job: Job,
) -> Learnt:
    """A head that a fifth of the images is kept from, by whole groups."""
    held = next(_folds(labels, groups, job.seed), np.zeros(len(labels), bool))
    space, head = _fitted(x[~held], labels[~held], settings, settings.strength or _USUAL, job.seed)
    learnt, left_out = (head.outputs(space.apply(x[rows])) for rows in (~held, held))
    judged = Judged(np.flatnonzero(held), left_out, learnt, labels[~held], head.last)
    return Learnt(
        FrozenNetwork(extractor, space, head), learnt, labels[~held], (judged,) if held.any() else ()
    )


def _left_out(
    x: Floats, labels: Labels, groups: NDArray[np.int64], settings: ClassifierSettings, job: Job
) -> tuple[float, tuple[Judged, ...]]:
    """The strength that names left-out images most surely, and what heads of it say of those."""
    tried = (settings.strength,) if settings.strength else STRENGTHS
    found: dict[float, tuple[Judged, ...]] = {}
    for strength in job.progress(tried, label="leaving images out", total=len(tried)):
        folds = _folds(labels, groups, job.seed)
        found[strength] = tuple(_without(held, x, labels, settings, strength, job.seed) for held in folds)
    best = min(tried, key=lambda strength: _surprise(found[strength], labels))
    return best, found[best]


def _without(
    held: NDArray[np.bool_],
    x: Floats,
    labels: Labels,
    settings: ClassifierSettings,
    strength: float,
    seed: int,
) -> Judged:
    """What a head that has not seen some images says of them; more than 2000 in all are not asked about."""
    space, head = _fitted(x[~held], labels[~held], settings, strength, seed)
    learnt, left_out = (head.outputs(space.apply(x[rows])) for rows in (~held, held))
    return Judged(np.flatnonzero(held), left_out, learnt, labels[~held], head.last)


def _folds(labels: Labels, groups: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.bool_]]:
    """Which images are left out at a time, bool [n]: whole groups, and never the last images of a class."""
    folds = fold_of_groups(groups, FOLDS, seed)
    for fold in range(FOLDS):
        held = folds == fold
        last_ones = np.setdiff1d(labels[held], labels[~held])
        held &= ~np.isin(groups, groups[np.isin(labels, last_ones)])
        if held.any():
            yield held


def _surprise(judged: tuple[Judged, ...], labels: Labels) -> float:
    """The mean of −log p of the true class over left-out images, at the temperature that suits best."""
    if not judged:
        return 0.0
    logits = np.concatenate([one.left_out.logits for one in judged]).astype(np.float64)
    truth = labels[np.concatenate([one.rows for one in judged])]
    z = logits / temperature(logits, truth)
    z -= z.max(axis=1, keepdims=True)
    logs = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(truth)), truth].mean())


def asked_about(groups: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Which images are scored out of fold, bool [n]."""
    return some_groups(groups, MAX_CALIBRATION_IMAGES, seed)

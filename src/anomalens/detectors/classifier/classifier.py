"""`classifier`: names what an image shows, and finds images of none of the classes it knows.

The raw score is one of `scores/` (a file and a paper each) of the network's logits and features; the class is
the largest logit, its confidence the softmax of the logits over a temperature. Out-of-fold scores come from
heads that have seen nothing of an image's group, so that "none of the known classes" is asked as often of
pictures of known classes as the calibration says. What every score needs is kept, so that another one can be
taken without fitting again.

When it fails. A strange image that shares its features with a class is named as that class; and only what is
left out as a group is honest, so that all pictures of a class from one afternoon say little of the next day.

Memory. The features of all images while fitting, and in the file what the scores keep (`scores/knn_ood.py`
bounds the largest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.classifier.labels import numbered
from anomalens.detectors.classifier.learnt import Judged, Learnt, Network
from anomalens.detectors.classifier.network import asked_about, learn_network, network_from_state
from anomalens.detectors.classifier.outputs import OodScore, Outputs
from anomalens.detectors.classifier.scores import SCORES, load_score
from anomalens.detectors.classifier.settings import FROZEN, ClassifierSettings
from anomalens.detectors.contract import Batch, Detector, Scores, Settings, State, TrainingImages
from anomalens.errors import SettingError
from anomalens.job import Job
from anomalens.metrics.classification import temperature


@dataclass(frozen=True)
class LeftOut:
    """What heads say of images that they did not learn from: ids, and probabilities float64 [n, c].

    It is there after a fit, and not in a model file.
    """

    ids: tuple[str, ...]
    shares: NDArray[np.float64]


class Classifier(Detector):
    """A classifier that knows what it does not know."""

    name: ClassVar[str] = "classifier"
    family: ClassVar[str] = "classifier"
    pixel_level: ClassVar[bool] = False
    needs_classes: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = ClassifierSettings
    settings: ClassifierSettings

    network_: Network
    classes_: tuple[str, ...]
    temperature_: float
    score_: str
    scores_: dict[str, OodScore]
    left_out_: dict[str, NDArray[np.float64]]
    told_: tuple[str, ...] = ()
    judged_: LeftOut | None = None
    _notes: tuple[str, ...] = ()
    _curves: Mapping[str, Sequence[float]] = MappingProxyType({})

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        self.classes_, labels = numbered(images.classes, images.ids)
        learnt = learn_network(self.settings, images, labels, self.classes_, job)
        self.network_, self.score_ = learnt.network, self.settings.score
        self._notes, self._curves = learnt.notes, learnt.curves
        self.temperature_ = self.settings.temperature or _temperature(learnt, labels)
        self.scores_ = {
            name: load_score(name).learn(learnt.outputs, learnt.labels, learnt.network.last)
            for name in SCORES
        }
        wanted = asked_about(np.asarray(images.groups), job.seed)
        held = {name: np.full(len(images), np.nan) for name in SCORES}
        for judged in job.progress(learnt.judged, label="calibrating", total=len(learnt.judged)):
            _score_left_out(judged, wanted, held)
        self.left_out_ = {name: values[np.isfinite(values)] for name, values in held.items()}
        self.judged_ = self._judged(learnt, images.ids)
        return Scores(held[self.score_])

    def score(self, batch: Batch) -> Scores:
        outputs = [self.network_(image) for image in batch.images]
        shares = np.concatenate([self._shares(one) for one in outputs]) if outputs else np.empty((0, 1))
        best = shares.argmax(axis=1)

        def scored(name: str) -> NDArray[np.float64]:
            return np.array([self.scores_[name].score(one)[0] for one in outputs], np.float64)

        return Scores(
            scored(self.score_),
            parts={name: scored(name) for name in self.told_},
            labels=tuple(self.classes_[place] for place in best),
            confidence=shares[np.arange(len(best)), best],
        )

    def with_score(self, name: str) -> Self:
        """The same classifier, which finds pictures of no class by another score; not calibrated for it."""
        load_score(name)
        found = self._copy()
        found.settings = replace(self.settings, score=name)
        found.score_ = name
        return found

    def telling(self, names: Sequence[str]) -> Self:
        """The same classifier, which also tells these scores, as parts."""
        for name in names:
            load_score(name)
        found = self._copy()
        found.told_ = tuple(names)
        return found

    def left_out_scores(self, name: str) -> NDArray[np.float64]:
        """What images scored that the scoring heads had not seen, float64 [m].

        Raises
        ------
        SettingError
            The score is unknown, was not there when the model was fitted, or nothing could be left out.
        """
        load_score(name)
        if not len(self.left_out_.get(name, ())):
            raise SettingError(
                f"The model holds no left-out images' scores of {name!r}, so that it cannot be calibrated; "
                "fit it again, with more images."
            )
        return self.left_out_[name]

    def state(self) -> State:
        network = self.network_.state()
        arrays: dict[str, NDArray[Any]] = dict(network.arrays)
        for name, score in self.scores_.items():
            arrays |= {f"score/{name}/{key}": np.ascontiguousarray(v) for key, v in score.arrays.items()}
            arrays[f"left_out/{name}"] = self.left_out_[name]
        numbers = {
            **network.numbers,
            "classes": list(self.classes_),
            "temperature": self.temperature_,
            "score": self.score_,
        }
        return State(numbers, arrays, network.graphs)

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        score = str(state.numbers["score"])
        found = cls(ClassifierSettings(score=score))
        found.network_ = network_from_state(state, size=size, runtime=runtime)
        found.classes_ = tuple(str(name) for name in state.numbers["classes"])
        found.temperature_ = float(state.numbers["temperature"])
        found.score_ = score
        last = found.network_.last
        if len(found.classes_) != len(last.bias) or not 0 < found.temperature_ < np.inf:
            raise ValueError("the classes or the temperature do not fit the network")
        found.scores_, found.left_out_ = {}, {}
        for name in SCORES:
            if f"left_out/{name}" not in state.arrays:
                continue  # a file from before this score was known
            start = f"score/{name}/"
            learnt = {key.removeprefix(start): a for key, a in state.arrays.items() if key.startswith(start)}
            found.scores_[name] = load_score(name)(last, learnt)
            found.left_out_[name] = np.asarray(state.arrays[f"left_out/{name}"], np.float64)
        probe = Outputs(last.bias[None], np.zeros((1, last.weight.shape[1]), np.float32))
        for one in found.scores_.values():
            one.score(probe)  # what does not fit fails here and not on the first image
        if score not in found.scores_:
            raise ValueError(f"the score {score!r:.40} was not learnt")
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    def _judged(self, learnt: Learnt, ids: Sequence[str]) -> LeftOut | None:
        if not learnt.judged:
            return None
        rows = np.concatenate([one.rows for one in learnt.judged])
        shares = np.concatenate([self._shares(one.left_out) for one in learnt.judged])
        return LeftOut(tuple(ids[row] for row in rows), shares)

    @property
    def holds_out(self) -> bool:
        return self.settings.train != FROZEN or self.settings.head == "mlp"

    @property
    def curves(self) -> Mapping[str, Sequence[float]]:
        return self._curves

    def _copy(self) -> Self:
        found = type(self)(self.settings)
        found.__dict__ |= self.__dict__
        return found

    def _shares(self, outputs: Outputs) -> NDArray[np.float64]:
        z = outputs.logits.astype(np.float64) / self.temperature_
        e = np.exp(z - z.max(axis=1, keepdims=True))
        found: NDArray[np.float64] = e / e.sum(axis=1, keepdims=True)
        return found


def _temperature(learnt: Learnt, labels: NDArray[np.int64]) -> float:
    """What suits the logits of left-out images; 1 where none could be left out."""
    if not learnt.judged:
        return 1.0
    logits = np.concatenate([one.left_out.logits for one in learnt.judged])
    return temperature(logits, labels[np.concatenate([one.rows for one in learnt.judged])])


def _score_left_out(judged: Judged, wanted: NDArray[np.bool_], held: dict[str, NDArray[np.float64]]) -> None:
    chosen = wanted[judged.rows]
    asked = Outputs(judged.left_out.logits[chosen], judged.left_out.features[chosen])
    if not chosen.any():
        return
    for name, values in held.items():
        learnt = load_score(name).learn(judged.learnt, judged.labels, judged.last)
        values[judged.rows[chosen]] = learnt.score(asked)

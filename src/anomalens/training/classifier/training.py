"""Train a classifier by the one loop: labelled batches, a recipe, and the graph with logits and features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from anomalens.images.augment import Augmentation
from anomalens.job import Job
from anomalens.training import require_torch
from anomalens.training.classifier.changes import PixMix, changed, mixed, read_changes
from anomalens.training.classifier.networks import ClassNetwork, moved, network_for
from anomalens.training.images import HeldImages, Pictures, parts
from anomalens.training.learner import Learner, Player
from anomalens.training.plan import Plan
from anomalens.training.recipe import Recipe
from anomalens.training.run import TrainingRun, repeatable
from anomalens.training.split import Split

_VALIDATION: Final = 0.05
_TEMPERATURE: Final = 0.04  # of LogitNorm (Wei et al. 2022)
_TURNS: Final = 0.5  # weight of telling quarter turns
_FOCUS: Final = 2.0  # of the focal loss (Lin et al. 2017)
_EPOCHS: Final = {"cnn": 40, "residual": 40, "tune": 8, "tune-all": 8}
_RATES: Final = {"cnn": 2e-3, "residual": 2e-3, "tune": 1e-3, "tune-all": 5e-4}


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training gives; see `anomalens.detectors.classifier.trained`."""

    graph: bytes
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    held_out: NDArray[np.int64]
    notes: Sequence[str]
    curves: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class LabelledBatch:
    """Images [b, 3, h, w] and labels [b]."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> LabelledBatch:
        """The same elsewhere."""
        return LabelledBatch(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class LabelledImages:
    """Images and labels in batches; with `balance` each class comes equally often in an epoch."""

    held: HeldImages
    labels: NDArray[np.int64]
    balance: bool

    def batches(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        order: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
    ) -> Iterator[LabelledBatch]:
        """See `HeldImages.batches`; images are changed in the loss, a batch at a time."""
        if self.balance and order is not None:
            own = self.labels[rows]
            counts = np.bincount(own)
            weights = 1 / counts[own]
            rows = order.choice(rows, len(rows), p=weights / weights.sum())
        for part in parts(rows, batch_size, order):
            yield LabelledBatch(self.held.tensor(part), torch.from_numpy(self.labels[part]))


def train(
    images: Pictures,
    labels: NDArray[np.int64],
    names: Sequence[str],
    settings: Recipe,
    job: Job,
) -> TrainedClassifier:
    """Train a network on images and their labels [n]; see `Recipe` for what it is and how.

    Raises
    ------
    SettingError
        A change of images is unknown, or a loss is no finite number.
    MissingExtraError
        torch is not installed.
    """
    require_torch(f"classifier train={settings.train}")
    words = read_changes(settings.augment)
    plan = Plan(
        epochs=settings.epochs or _EPOCHS[settings.train],
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate or _RATES[settings.train],
        weight_decay=5e-4 if settings.train in ("cnn", "residual") else 1e-2,
        patience=0,
        bfloat16=settings.bfloat16,
    )
    with repeatable(job.seed):
        run = TrainingRun.prepare(
            images,
            plan,
            name="classifier",
            decided_by={**asdict(settings), "labels": labels.tolist()},
            validation=_VALIDATION,
            held_out=settings.held_out,
            job=job,
        )
        run.split = _with_all_classes(run.split, labels)
        network = network_for(settings, len(names))
        own = LabelledImages(run.images, labels, settings.balance)
        learner = _learner(
            network,
            settings,
            words,
            np.bincount(labels[run.split.train], minlength=len(names)),
            images.size,
            job,
        )
        _trained(run, learner, own)
        graph = run.exported(network, ("logits", "features"))
    weight, bias = (value.detach().numpy().copy() for value in (network.last.weight, network.last.bias))
    return TrainedClassifier(graph, weight, bias, run.split.held_out, tuple(run.notes), run.curves)


def _trained(run: TrainingRun, learner: Learner, own: LabelledImages) -> None:
    """The run's own loop, on labelled batches."""
    plain = run.images
    try:
        run.images = own  # type: ignore[assignment]
        run._hash = plain.hash()
        run.train(learner)
    finally:
        run.images = plain


def _with_all_classes(split: Split, labels: NDArray[np.int64]) -> Split:
    """No class is validated or held out whole: its images train."""
    rest = np.setdiff1d(np.unique(labels), labels[split.train])
    if not len(rest):
        return split
    lost = np.flatnonzero(np.isin(labels, rest))
    return replace(
        split,
        train=np.union1d(split.train, lost),
        validation=np.setdiff1d(split.validation, lost),
        held_out=np.setdiff1d(split.held_out, lost),
    )


def _learner(
    network: ClassNetwork,
    settings: Recipe,
    words: Sequence[str],
    counts: NDArray[np.int64],
    size: tuple[int, int],
    job: Job,
) -> Learner:
    recipe = settings.recipe.split("+")
    pixmix = PixMix(size, job.seed) if "pixmix" in recipe else None
    usual = torch.from_numpy(np.log(np.maximum(counts, 1) / counts.sum())).float()

    def logits_of(features: Tensor) -> Tensor:
        logits: Tensor = network.last(network.dropout(features))
        if "logitnorm" in recipe:  # Wei et al. 2022 (arXiv:2205.09310), eq. 3
            logits = logits / (logits.norm(dim=1, keepdim=True) + 1e-7) / _TEMPERATURE
        if settings.loss == "adjusted" and not settings.balance:  # Menon et al. 2021 (arXiv:2007.07314)
            logits = logits + usual.to(logits.device)
        return logits

    def each(logits: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, labels, label_smoothing=settings.smoothing, reduction="none")
        if settings.loss == "focal":
            sure = F.softmax(logits, 1).gather(1, labels[:, None])[:, 0]
            loss = (1 - sure) ** _FOCUS * loss
        return loss

    def loss(batch: Any) -> Tensor:
        images, labels = batch.images, batch.labels
        images = changed(images, words)
        if pixmix is not None:
            images = pixmix(images)
        images, order, share = mixed(images, words)
        logits = logits_of(network.features(images))
        total = (share * each(logits, labels) + (1 - share) * each(logits, labels[order])).mean()
        if "rotpred" in recipe:  # Hendrycks et al. 2019 (arXiv:1906.12340), one turn an image
            total = total + _TURNS * _turns(network, images)
        return total

    def validation(batch: Any) -> Tensor:
        return F.cross_entropy(network(batch.images)[0], batch.labels, reduction="none")

    if "logitnorm" in recipe:

        def validation(batch: Any) -> Tensor:
            return F.cross_entropy(logits_of(network.features(batch.images)), batch.labels, reduction="none")

    player: Callable[[Any], Tensor] = loss
    return Learner(network, [Player("loss", list(moved(network)), player)], validation)


def _turns(network: ClassNetwork, images: Tensor) -> Tensor:
    side = min(images.shape[2:])
    if images.shape[2] != images.shape[3]:  # a quarter turn of others would have another shape
        images = F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
    turns = torch.randint(4, (len(images),))
    turned = torch.stack([torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, turns, strict=True)])
    return F.cross_entropy(network.turn(network.features(turned)), turns.to(images.device))

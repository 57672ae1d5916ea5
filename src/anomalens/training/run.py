"""One training as a detector sees it: the images, their split, and the steps from learner to graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from anomalens.job import Job
from anomalens.training.checkpoint import Checkpoint
from anomalens.training.export import check_parity, to_onnx
from anomalens.training.images import HeldImages, Pictures
from anomalens.training.learner import Learner
from anomalens.training.loop import train
from anomalens.training.plan import History, Plan
from anomalens.training.split import Split, split_groups

_PARITY_IMAGES: Final = 4


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Torch seeded and deterministic; afterwards its global state is as it was before."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


@dataclass(frozen=True)
class Trained:
    """The module that scores, and what training has to say."""

    module: nn.Module
    notes: tuple[str, ...] = ()


@dataclass
class TrainingRun:
    """What a method trains on.

    Attributes
    ----------
    images : HeldImages
    split : Split
    size : (height, width)
    plan : Plan
    name : str
        The detector's.
    decided_by : mapping
        What else decides the weights: the detector's parameters.
    job : Job
    curves : dict
        Name → one loss per epoch, filled by `train`.
    """

    images: HeldImages
    split: Split
    size: tuple[int, int]
    plan: Plan
    name: str
    decided_by: Mapping[str, Any]
    job: Job
    curves: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    epochs: int = 0
    _hash: str | None = None

    @classmethod
    def prepare(
        cls,
        images: Pictures,
        plan: Plan,
        *,
        name: str,
        decided_by: Mapping[str, Any],
        validation: float,
        held_out: float,
        job: Job,
    ) -> TrainingRun:
        """Read the images and split them; inside `repeatable`, which seeds the weights that come next."""
        held = HeldImages.collect(images, job.progress)
        split = split_groups(
            np.asarray(images.groups),
            validation=validation,
            held_out=held_out,
            seed=job.seed,
            originals=getattr(images, "originals", None),
        )
        return cls(held, split, images.size, plan, name, decided_by, job)

    def train(self, learner: Learner, *, stage: str = "", plan: Plan | None = None) -> History:
        """Train a learner on the run's images; later stages of a method have a name of their own."""
        plan = plan or self.plan
        history = train(
            learner,
            self.images,
            train_rows=self.split.train,
            validation_rows=self.split.validation,
            plan=plan,
            seed=self.job.seed,
            checkpoint=Checkpoint.of(
                self.job.checkpoints,
                self.name,
                stage,
                dict(self.decided_by),
                str(plan),
                self.job.seed,
                self._image_hash,
                self.split.hash(),
            ),
            progress=self.job.progress,
        )
        prefix = f"{stage}: " if stage else ""
        self.curves |= {f"{prefix}{name}": values for name, values in history.curves.items()}
        self.epochs += history.epochs
        self.notes.append(
            f"{prefix}trained for {history.epochs} of {plan.epochs} epochs on {len(self.split.train)} "
            f"images; the weights of epoch {history.best_epoch} are kept"
        )
        if history.diverged:
            self.notes.append(f"{prefix}training ended there: {history.diverged}")
        return history

    def exported(self, module: nn.Module, outputs: Sequence[str]) -> bytes:
        """The module as a graph that agrees with it on real normal images."""
        module.eval()
        graph = to_onnx(module, size=self.size, outputs=outputs)
        shown = self.images.tensor(self.parity_rows)
        check_parity(module, graph, shown, self.images.noise(), self.job.runtime)
        return graph

    @property
    def parity_rows(self) -> NDArray[np.int64]:
        """Images that graph and module are compared on: learnt ones, and ones that are new to the module."""
        split = self.split
        return np.union1d(split.train[:_PARITY_IMAGES], split.validation[:_PARITY_IMAGES])

    def validation_values(self, module: nn.Module, *, rows: NDArray[np.int64] | None = None) -> torch.Tensor:
        """What a module gives for the validation images (or others), concatenated, without gradients."""
        wanted = self.split.validation if rows is None else rows
        with torch.no_grad():
            batches = self.images.batches(wanted, self.plan.batch_size)
            return torch.cat([module(batch) for batch in batches])

    @property
    def _image_hash(self) -> str:
        if self._hash is None:
            self._hash = self.images.hash()
        return self._hash

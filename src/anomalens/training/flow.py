"""A flow on feature vectors, trained here and read back as arrays (Dinh et al. 2017)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anomalens.images.augment import Augmentation
from anomalens.job import Job
from anomalens.training.checkpoint import Checkpoint
from anomalens.training.coupling import Coupling, Flow, Layers
from anomalens.training.learner import Learner, Player
from anomalens.training.loop import train
from anomalens.training.plan import History, Plan
from anomalens.training.run import repeatable
from anomalens.training.split import Split

_COMPARED: Final = 32  # vectors

Floats = NDArray[np.float32]


class HeldVectors:
    """Vectors [n, k] as the loop takes them."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))

    def batches(
        self,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        order: np.random.Generator | None = None,
        augmentation: Augmentation | None = None,
    ) -> Iterator[Tensor]:
        """Float32 [b, k], in random order where a generator is given."""
        if order is not None:
            rows = order.permutation(rows)
        for start in range(0, len(rows), batch_size):
            yield self.vectors[rows[start : start + batch_size]]


def trained_flow(
    z: Floats, split: Split, plan: Plan, *, steps: int, hidden: int, noise: float, job: Job
) -> tuple[list[dict[str, NDArray[Any]]], NDArray[np.float32], History]:
    """Train a flow on the vectors [n, k].

    Parameters
    ----------
    split : Split
        Its `train` and `validation` rows are used.
    steps, hidden : int
        Couplings, and numbers within each.
    noise : float
        Standard deviation of the noise on vectors while training: few vectors are not learnt by heart.

    Returns
    -------
    couplings : list of dict
        For each coupling the weights `w1` [a, hidden], `b1`, `w2` [hidden, b], `b2` and the new `order`
        [k], int64.
    densities : float32 [m]
        −log p of the first vectors in nats, as torch computes it, to compare with.
    history : History
    """
    with repeatable(job.seed):
        channels = z.shape[1]
        couplings = [Coupling(channels, lambda a, b: Layers(a, b, hidden=hidden)) for _ in range(steps)]
        flow = Flow(channels, couplings)

        def training(batch: Tensor) -> Tensor:
            noised = batch + noise * torch.randn_like(batch) if noise else batch
            return flow(noised).mean()

        learner = Learner(flow, [Player("loss", list(flow.parameters()), training)], flow)
        held = HeldVectors(z)
        decides = hashlib.sha256(held.vectors.numpy().tobytes() + split.train.tobytes()).hexdigest()
        history = train(
            learner,
            held,
            train_rows=split.train,
            validation_rows=split.validation,
            plan=plan,
            seed=job.seed,
            checkpoint=Checkpoint.of(
                job.checkpoints, "flow", steps, hidden, noise, str(plan), job.seed, decides
            ),
        )
        with torch.no_grad():
            densities = channels * flow(held.vectors[:_COMPARED]).numpy()
    return [_arrays(coupling) for coupling in couplings], densities, history


def _arrays(coupling: Coupling) -> dict[str, NDArray[Any]]:
    first, last = coupling.subnet.first, coupling.subnet.last
    tensors = {
        "w1": first.weight.T, "b1": first.bias, "w2": last.weight.T, "b2": last.bias, "order": coupling.order
    }  # fmt: skip
    return {name: np.ascontiguousarray(value.detach().numpy()) for name, value in tensors.items()}

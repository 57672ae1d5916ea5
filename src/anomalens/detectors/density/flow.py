"""Normalising flow: the density of an image's features under an invertible network (Dinh et al. 2017,
"Density estimation using Real NVP", arXiv:1605.08803; on pooled features of a pretrained network as in
Rudolph et al. 2021, "DifferNet", arXiv:2008.12577).

    s(x) = −log p(x) = ½ |f(x)|² − log |det ∂f/∂x| + ½ k log 2π,   in nats

f is a chain of affine couplings: one half of the features scales and shifts the other half, then the features
change places. The log of a scale is held within ±2 by a tangent, as in CS-Flow (Rudolph et al. 2022).

What it sees. The features of all image-level detectors, whitened, because a flow that begins as the identity
then begins as a Gaussian (`gaussian`) and training only has to bend it; of many features the leading
components. The flow is trained with torch; it is a few small matrices, which are evaluated as arrays like
the heads of all image-level detectors, so that no network runtime is needed behind the features. Out-of-fold
scores come from five more flows.

What differs from the papers. DifferNet trains on rotated copies and sums over scales of the image; both are
left out. Noise on the vectors while training takes the copies' place.

When it fails. With a few hundred images a flow learns little beyond the Gaussian that it begins as; in many
dimensions it learns them by heart, which the noise and validation images limit. Like every density it can
call simple, smooth images likelier than normal ones.

Memory. The features (`memory_mb`), and 8 · hidden · k numbers or so of weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Scores, Settings, TrainingImages, parameter
from anomalens.detectors.features.extractor import FeatureSettings
from anomalens.detectors.image_level import Arrays, Floats, ImageLevelDetector
from anomalens.errors import BackboneError
from anomalens.job import Job
from anomalens.training import require_torch
from anomalens.training.plan import Plan

CLAMP: Final = 2.0  # as in training: the log of a scale stays within ±2
PARTS: Final = ("w1", "b1", "w2", "b2", "order")
COMPONENTS: Final = 64
# Largest difference of a log density between the arrays and the trained network, of the largest density.
PARITY: Final = 1e-4


@dataclass(frozen=True)
class FlowSettings(FeatureSettings):
    """Parameters of the flow."""

    epochs: int = parameter(60, "passes over the training images, at most", limits=(1, 10**5))
    batch_size: int = parameter(32, "images per step", limits=(2, 4096))
    learning_rate: float = parameter(1e-3, "size of the steps", limits=(1e-7, 10.0))
    weight_decay: float = parameter(1e-4, "decay of the weights", limits=(0.0, 1.0))
    patience: int = parameter(
        10, "epochs without a lower validation loss before training stops; 0 never stops", limits=(0, 10**5)
    )
    validation: float = parameter(0.15, "share of the images that validate", limits=(0.01, 0.5))
    steps: int = parameter(6, "couplings", limits=(1, 64))
    hidden: int = parameter(64, "numbers within a coupling", limits=(1, 4096))
    noise: float = parameter(0.5, "noise on the features while training, in deviations", limits=(0.0, 10.0))
    auto_scaling: ClassVar[str] = "whiten"

    @property
    def kept_components(self) -> int:
        """Components that are kept: 64 unless asked otherwise."""
        return self.components or COMPONENTS

    def plan(self) -> Plan:
        """How to train."""
        return Plan(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            device="cpu",
        )


class FlowHead:
    """Couplings as arrays; `w1` [a, hidden] and `w2` [hidden, 2 b] with a + b = k of each.

    Parameters
    ----------
    mean : float64 [k]
        The normal vectors' mean: the flow sees what differs from it.
    couplings : sequence of mapping
        `w1`, `b1`, `w2`, `b2` (float32) and `order` (int64) of each coupling.
    """

    def __init__(self, mean: NDArray[np.float64], couplings: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        if not couplings:
            raise ValueError("a flow without couplings")
        self._mean = mean
        self._couplings = [tuple(coupling[part] for part in PARTS) for coupling in couplings]
        k = mean.size
        for w1, b1, w2, b2, order in self._couplings:
            moved = k - w1.shape[0]
            fits = w1.shape == (k - moved, len(b1)) and w2.shape == (len(b1), 2 * moved)
            if (
                not fits
                or mean.shape != (k,)
                or b2.shape != (2 * moved,)
                or sorted(order.tolist()) != list(range(k))
            ):
                raise ValueError("the couplings of the flow do not fit one another")

    def scores(self, z: Floats) -> NDArray[np.float64]:
        x = z - self._mean
        log_det = np.zeros(len(x))
        for w1, b1, w2, b2, order in self._couplings:
            fixed, moved = x[:, : len(w1)], x[:, len(w1) :]
            inner = np.maximum(fixed @ w1 + b1, 0)
            s, t = np.split(inner @ w2 + b2, 2, axis=1)
            s = CLAMP * np.tanh(s / CLAMP)
            x = np.concatenate([fixed, moved * np.exp(s) + t], axis=1)[:, order]
            log_det += s.sum(1)
        return np.asarray(
            0.5 * np.einsum("ij,ij->i", x, x) - log_det + 0.5 * x.shape[1] * math.log(2 * math.pi)
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        couplings = {
            f"flow_{place}_{part}": array
            for place, coupling in enumerate(self._couplings)
            for part, array in zip(PARTS, coupling, strict=True)
        }
        return {"flow_mean": self._mean, **couplings}

    def numbers(self) -> dict[str, Any]:
        return {"steps": len(self._couplings)}


class VectorFlow(ImageLevelDetector):
    """−log density of the features under a normalising flow."""

    name: ClassVar[str] = "flow"
    family: ClassVar[str] = "density"
    settings_type: ClassVar[type[Settings]] = FlowSettings
    settings: FlowSettings

    _curves: Mapping[str, Sequence[float]]
    _notes: tuple[str, ...] = ()

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self._curves = {}

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        require_torch(f"The detector {self.name!r}")
        self._curves, self._notes = {}, ()
        return super().fit(images, job)

    def learn(self, z: Floats, groups: NDArray[np.int64], job: Job) -> FlowHead:
        from anomalens.training.flow import trained_flow
        from anomalens.training.split import split_groups

        s = self.settings
        split = split_groups(groups, validation=s.validation, held_out=0.0, seed=job.seed)
        mean = z[split.train].mean(0, dtype=np.float64)
        couplings, densities, history = trained_flow(
            (z - mean).astype(np.float32),
            split,
            s.plan(),
            steps=s.steps,
            hidden=s.hidden,
            noise=s.noise,
            job=job,
        )
        head = FlowHead(mean, couplings)
        difference = np.abs(head.scores(z[: len(densities)]) - densities).max()
        # each of its numbers adds a term of about one, whatever they sum to
        if not difference <= PARITY * max(float(np.abs(densities).max()), z.shape[1]):
            raise BackboneError(
                f"The arrays of the flow give other densities than it was trained to: {difference:g}."
            )
        if not self._curves:  # the first flow has learnt from all images, the next five calibrate
            self._curves = history.curves
            self._notes = (
                f"trained for {history.epochs} of {s.epochs} epochs on {len(split.train)} images; the "
                f"weights of epoch {history.best_epoch} are kept",
            )
        return head

    @classmethod
    def head_from(cls, numbers: Mapping[str, Any], arrays: Arrays) -> FlowHead:
        return FlowHead(
            np.asarray(arrays["flow_mean"], np.float64),
            [
                {
                    part: np.asarray(
                        arrays[f"flow_{place}_{part}"], np.int64 if part == "order" else np.float32
                    )
                    for part in PARTS
                }
                for place in range(int(numbers["steps"]))
            ],
        )

    @property
    def curves(self) -> Mapping[str, Sequence[float]]:
        return self._curves

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

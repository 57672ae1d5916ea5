"""The code of an autoencoder that is trained on a part of the normal images.

Codes of images that the autoencoder has learnt from lie closer together than those of new ones. So half of
the normal images (by whole groups) train it, and the detector learns from, and calibrates on, the other half,
at most 2000. Of very few, all train both, and calibration trains them anew without each part. Training needs
`anomalens[train]`; the encoder is an ONNX graph in the model file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.features.extractor import FeatureGroup, FeatureSettings
from anomalens.detectors.network import FeatureNetwork
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.training import require_torch
from anomalens.training.plan import Plan

_GRAPH: Final = "features"
MIN_GROUPS: Final = 6  # fewer are not halved: all train, and the caller leaves some out
_MAX_DEPTH: Final = 4


@dataclass(frozen=True)
class Latent:
    """Prepared image → code [d].

    Attributes
    ----------
    network : FeatureNetwork
    d : int
        Numbers of the code.
    """

    network: FeatureNetwork
    d: int

    @classmethod
    def learn(
        cls,
        settings: FeatureSettings,
        images: TrainingImages,
        job: Job,
    ) -> tuple[Self, NDArray[np.int64]]:
        """Train, and give the rows of the images that it has not seen, int64 ascending.

        None are left of fewer than `MIN_GROUPS` independent images.
        """
        require_torch("The features 'latent'")
        from anomalens.training.autoencoder import build
        from anomalens.training.reconstruction import Penalties, autoencoder_learner
        from anomalens.training.run import TrainingRun, repeatable

        enough = len(np.unique(images.groups)) >= MIN_GROUPS
        with repeatable(job.seed):
            run = TrainingRun.prepare(
                images,
                Plan(epochs=settings.latent_epochs),
                name="latent",
                decided_by={"latent": settings.latent},
                validation=0.1,
                held_out=0.5 if enough else 0.0,
                job=job,
            )
            depth = min(_MAX_DEPTH, *(_halvings(side) for side in images.size))
            network = build("conv", images.size, latent=settings.latent, depth=depth, width=16)
            run.train(autoencoder_learner(network, loss="l2", penalties=Penalties()))
            graph = run.exported(network.encoder, ("code",))
        encoder = FeatureNetwork(
            graph,
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
            size=images.size,
            runtime=job.runtime,
            backbone={"name": "autoencoder", "trained": "here", "epochs": run.epochs},
        )
        return cls(encoder, settings.latent), run.split.held_out

    @classmethod
    def from_numbers(
        cls, numbers: Mapping[str, Any], graph: bytes, *, size: tuple[int, int], runtime: Runtime
    ) -> Self:
        """Rebuild from the state."""
        network = FeatureNetwork.from_numbers(numbers, graph, size=size, runtime=runtime)
        return cls(network, int(numbers["d"]))

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        return (FeatureGroup("code", 0, self.d),)

    def __call__(self, image: Pixels) -> NDArray[np.float32]:
        return self.network(image)[0].copy()

    def numbers(self) -> dict[str, Any]:
        return {"kind": "latent", **self.network.numbers(), "d": self.d}

    def graphs(self) -> dict[str, bytes]:
        return {_GRAPH: self.network.graph}


def _halvings(side: int) -> int:
    """How often a side can be halved, once at least for an error that says what is wrong."""
    return max(1, (side & -side).bit_length() - 1)

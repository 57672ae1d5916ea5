"""PatchCore (Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection", CVPR).

What it does. Features of a pretrained network's middle layers, averaged over a small neighbourhood,
describe each patch of the normal images. A greedy coreset of all those patches is the memory bank
(algorithm 1). A patch's score is the distance to its nearest bank vector; the image's score is its
farthest patch's, re-weighted by how crowded the bank is there (equations 6 and 7):

    s* = max_p min_m |p − m|,   w = 1 − exp|p* − m*| / Σ_{m ∈ N_b(m*)} exp|p* − m|,   s = w · s*

The map is the patch scores enlarged bilinearly and smoothed with a Gaussian of 4 px.

When it fails. A patch has no position: a normal part in a wrong place looks normal. Faults that only
the whole image shows (a missing label, an uneven illumination) are weak. What varies freely among
normal images (freely rotated parts, prints) needs many of them. Anything strange in a normal training
image becomes normal everywhere.

Out-of-fold scores cost one more selection, not one fit a fold (`views/memory.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.detectors.contract import Settings, State, TrainingImages, parameter
from anomalens.detectors.folds import MAX_CALIBRATION_IMAGES, some_groups
from anomalens.detectors.network import LARGEST, FeatureNetwork
from anomalens.detectors.patches.detector import Learnt, LeftOut, PatchDetector
from anomalens.detectors.patches.views.bank import Bank, exact_distances
from anomalens.detectors.patches.views.feature_store import FeatureStore
from anomalens.detectors.patches.views.maps import MAP, Drawing, MapMaker, Term
from anomalens.detectors.patches.views.memory import BankSettings, Doubt, Memory
from anomalens.detectors.patches.views.scoring import Placed, Scoring
from anomalens.detectors.patches.views.view import Floats
from anomalens.errors import ModelFileError
from anomalens.images.arrays import Pixels
from anomalens.job import Job

NEAREST: Final = "nearest"


@dataclass(frozen=True)
class PatchCoreSettings(BankSettings):
    """Parameters of PatchCore."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers of the backbone, comma-separated; default: those at 1/8 and 1/16"
    )
    neighbourhood: int = parameter(
        3, "side of the window that features are averaged over, in patches", limits=(1, 15)
    )
    n_neighbors: int = parameter(9, "b of the re-weighting; 1 switches it off", limits=(1, 1000))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class PatchCore(PatchDetector):
    """Distance of each patch to the nearest patch of the normal images (Roth et al. 2022)."""

    name: ClassVar[str] = "patchcore"
    settings_type: ClassVar[type[Settings]] = PatchCoreSettings
    outputs: ClassVar[tuple[str, ...]] = (EMBEDDING, NEAREST, MAP)
    settings: PatchCoreSettings

    bank_: Bank

    def learn(self, images: TrainingImages, job: Job) -> Learnt:
        s = self.settings
        features = FeatureNetwork.from_backbone(
            s.backbone, s.taps, neighbourhood=s.neighbourhood, size=images.size, runtime=job.runtime
        )

        def embed(image: Pixels) -> Floats:
            return features(image)[0]

        memory = Memory.read(embed, images, s, job, doubt=self.doubt)
        self._grid, self.bank_ = memory.grid, memory.bank()
        maker = MapMaker(self._grid, images.size, s.sigma)
        scoring = Scoring(
            (EMBEDDING,),
            (Placed(self.bank_, NEAREST, EMBEDDING, self._grid),),
            Drawing((Term(NEAREST, 1.0, maker),)),
            (EMBEDDING,),
        )

        def left_out() -> Iterator[LeftOut]:
            wanted = some_groups(images.groups, MAX_CALIBRATION_IMAGES, job.seed)
            found = memory.left_out(embed, images, wanted)
            total = int(wanted.sum()) if memory.folds.max() else 0
            for i, rows, bank in job.progress(found, label="calibrating", total=total):
                distances = bank.distances(rows)
                highest = float(maker(distances.reshape(self._grid)).max())
                yield LeftOut(i, {NEAREST: self.image_score(rows, distances, bank)}, highest)

        return Learnt(scoring.network(features, images, job), left_out())

    def doubt(self, store: FeatureStore, patches: int) -> Doubt | None:
        """Which normal patches may be none, of images of so many; None trusts all."""
        return None

    def image_score(self, rows: Floats, distances: Floats, bank: Bank) -> float:
        """Equations 6 and 7: the farthest patch's distance, re-weighted."""
        farthest = rows[int(distances.argmax())]
        nearest = bank.closest(farthest)
        (distance,) = exact_distances(bank.vectors[[nearest]], farthest)
        b = min(self.settings.n_neighbors, len(bank))
        if b < 2:
            return float(distance)
        around = exact_distances(bank.vectors[bank.neighbours(nearest, b)], farthest)
        weight = 1 - 1 / np.exp(np.minimum(around - distance, 700.0)).sum()  # exp of more is infinite
        return float(weight * distance)

    def raw(self, outputs: Mapping[str, Floats]) -> dict[str, float]:
        features, distances = outputs[EMBEDDING], self.on_grid(outputs[NEAREST])
        if features.shape != (*self._grid, self.bank_.vectors.shape[1]):
            raise ModelFileError(
                f"The model's network gives features {list(features.shape)} and its bank was learnt from "
                "others; fit the model again."
            )
        rows = features.reshape(-1, features.shape[-1])
        return {NEAREST: self.image_score(rows, distances, self.bank_)}

    def numbers(self) -> dict[str, Any]:
        return {"sigma": self.settings.sigma, "n_neighbors": self.settings.n_neighbors}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"bank": self.bank_.vectors}

    @classmethod
    def restored(cls, state: State) -> Self:
        n = state.numbers
        bank = np.asarray(state.arrays["bank"], np.float32)
        if bank.ndim != 2 or not bank.size or not np.abs(bank).max() < LARGEST:
            raise ValueError("the bank holds no vectors of finite numbers")
        known = {"sigma": float(n["sigma"]), "n_neighbors": int(n["n_neighbors"])}
        detector = cls(cls.settings_type.from_values(known))
        detector.bank_ = Bank(bank, cls.weights_from(state, len(bank)))
        return detector

    @classmethod
    def weights_from(cls, state: State, count: int) -> Floats | None:
        """How much distances to each of the bank's vectors count; None where all count alike."""
        return None

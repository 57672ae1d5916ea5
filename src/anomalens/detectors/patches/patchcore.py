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

Out-of-fold scores cost one more selection, not one fit a fold: for each of ten folds of groups the
bank loses their vectors and the greedy rule fills it up again from what is left (`Coreset.without`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Scores,
    Settings,
    State,
    TrainingImages,
    parameter,
)
from anomalens.detectors.folds import MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.detectors.network import LARGEST, FeatureNetwork
from anomalens.detectors.patches.bank import Bank, exact_distances, largest_change
from anomalens.detectors.patches.coreset import Coreset
from anomalens.detectors.patches.feature_store import FeatureStore
from anomalens.detectors.patches.left_out import FOLDS, banks_without
from anomalens.detectors.patches.maps import MapMaker
from anomalens.detectors.patches.search_graph import append_search
from anomalens.errors import BackboneError, ModelFileError, SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.progress import Progress

Floats = NDArray[np.float32]

# Largest difference of a distance between the graph and the bank, of the largest feature value.
SEARCH_TOLERANCE: Final = 1e-2
# A reduction of the feature store keeps this many times the bank.
_SPARE: Final = 2


@dataclass(frozen=True)
class PatchCoreSettings(Settings):
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
    coreset_ratio: float = parameter(0.01, "share of all patches that the bank keeps", limits=(1e-6, 1.0))
    min_bank: int = parameter(1000, "the bank keeps at least this many patches", limits=(1, 10**6))
    max_bank: int = parameter(10_000, "the bank keeps at most this many patches", limits=(1, 10**6))
    n_neighbors: int = parameter(9, "b of the re-weighting; 1 switches it off", limits=(1, 1000))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))
    memory_mb: int = parameter(1000, "budget for patch features while fitting, in MB", limits=(16, 10**6))


class PatchCore(Detector):
    """Distance of each patch to the nearest patch of the normal images (Roth et al. 2022)."""

    name: ClassVar[str] = "patchcore"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = PatchCoreSettings
    settings: PatchCoreSettings

    _network: FeatureNetwork
    bank_: Bank

    def fit(self, images: TrainingImages, job: Job) -> Scores:
        s = self.settings
        if s.min_bank > s.max_bank:
            raise SettingError(
                f"min_bank is {s.min_bank} and max_bank is {s.max_bank}; give a min_bank that is not larger."
            )
        if not len(images):
            raise SettingError("PatchCore needs at least one normal image to fit and was given none.")
        self._network = FeatureNetwork.from_backbone(
            s.backbone,
            s.taps,
            neighbourhood=s.neighbourhood,
            size=images.size,
            runtime=job.runtime,
        )
        store = self._collect(images, job.seed, job.progress)
        wanted = max(s.min_bank, round(s.coreset_ratio * store.seen))
        coreset = store.coreset(min(wanted, s.max_bank), progress=job.progress)
        self._set_bank(store[coreset.chosen])
        graph = append_search(self._network.graph, self.bank_, self._make_map)
        self._network = self._network.with_graph(graph, runtime=job.runtime)
        self._check_search(next(iter(images)), job.runtime)
        return self._out_of_fold(images, store, coreset, job.seed, job.progress)

    def score(self, batch: Batch) -> Scores:
        scores = np.empty(len(batch), np.float64)
        maps = np.empty((len(batch), *self._size), np.float32)
        for i, image in enumerate(batch.images):
            features, distances, maps[i] = self._network(image)
            if features.shape != (*self._grid, self.bank_.vectors.shape[1]):
                raise ModelFileError(
                    f"The model's network gives features {list(features.shape)} and its bank was learnt "
                    "from others; fit the model again."
                )
            rows = features.reshape(-1, features.shape[-1])
            scores[i] = self._image_score(rows, distances, self.bank_)
        return Scores(scores, maps)

    def state(self) -> State:
        return State(
            numbers={
                **self._network.numbers(),
                "grid": list(self._grid),
                "sigma": self.settings.sigma,
                "n_neighbors": self.settings.n_neighbors,
            },
            arrays={"bank": self.bank_.vectors},
            graphs={"patches": self._network.graph},
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        grid = (int(n["grid"][0]), int(n["grid"][1]))
        bank = np.asarray(state.arrays["bank"], np.float32)
        if bank.ndim != 2 or not bank.size or not np.abs(bank).max() < LARGEST:
            raise ValueError("the bank holds no vectors of finite numbers")
        if not (1 <= grid[0] <= size[0] and 1 <= grid[1] <= size[1]):
            raise ValueError(f"the grid {list(grid)} does not fit images of {list(size)}")
        detector = cls(PatchCoreSettings(sigma=float(n["sigma"]), n_neighbors=int(n["n_neighbors"])))
        detector._network = FeatureNetwork.from_numbers(
            n, state.graphs["patches"], size=size, runtime=runtime
        )
        detector._grid = grid
        detector._size = size
        detector._set_bank(bank)
        return detector

    def _set_bank(self, vectors: Floats) -> None:
        self.bank_ = Bank(vectors)
        self._make_map = MapMaker(self._grid, self._size, self.settings.sigma)

    def _embed(self, image: Pixels) -> Floats:
        """Patch features [h, w, c]."""
        return self._network(image)[0]

    def _check_search(self, image: Pixels, runtime: Runtime) -> None:
        """Refuse a runtime whose search disagrees with the bank's on a real image.

        The out-of-fold scores use the bank's; bfloat16 is judged by its drift instead.
        """
        features, found, _ = self._network(image)
        expected = self.bank_.nearest(features.reshape(-1, features.shape[-1])).reshape(self._grid)
        scale = max(1.0, float(np.abs(features).max()))
        agree = largest_change(found, expected) <= SEARCH_TOLERANCE * scale
        if runtime.precision == "float32" and not agree:
            raise BackboneError(
                f"{runtime.name} finds other distances than the memory bank holds; use another runtime."
            )

    def _collect(self, images: TrainingImages, seed: int, progress: Progress) -> FeatureStore:
        """One pass over the images: all patch features, or what the memory budget keeps of them."""
        store: FeatureStore | None = None
        self._size = images.size
        steps = progress(images, label="reading features", total=len(images))
        for image, group in zip(steps, images.groups, strict=True):
            features = self._embed(image)
            h, w, channels = features.shape
            if store is None:
                self._grid = (h, w)
                store = FeatureStore(
                    channels,
                    memory_mb=self.settings.memory_mb,
                    keep=_SPARE * self.settings.max_bank,
                    expected=h * w * len(images),
                    seed=seed,
                )
            store.add(features.reshape(h * w, channels), int(group))
        assert store is not None
        return store

    def _image_score(self, rows: Floats, distances: Floats, bank: Bank) -> float:
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

    def _out_of_fold(
        self,
        images: TrainingImages,
        store: FeatureStore,
        coreset: Coreset,
        seed: int,
        progress: Progress,
    ) -> Scores:
        """Score each training image by a bank that leaves its fold out; NaN where not chosen."""
        groups = images.groups
        wanted = some_groups(groups, MAX_CALIBRATION_IMAGES, seed)
        folds = fold_of_groups(groups, FOLDS, seed)
        scores = np.full(len(images), np.nan)
        maxima = np.full((len(images), 1, 1), np.nan, np.float32)
        banks = banks_without(store, coreset, groups, folds)
        left_out = self._left_out(images, store, banks, folds, wanted)
        total = int(wanted.sum()) if folds.max() else 0
        for i, rows, bank in progress(left_out, label="calibrating", total=total):
            distances = bank.nearest(rows)
            scores[i] = self._image_score(rows, distances, bank)
            maxima[i] = self._make_map(distances.reshape(self._grid)).max()
        return Scores(scores, maxima)

    def _left_out(
        self,
        images: TrainingImages,
        store: FeatureStore,
        banks: Iterable[Bank],
        folds: NDArray[np.int64],
        wanted: NDArray[np.bool_],
    ) -> Iterator[tuple[int, Floats, Bank]]:
        """The wanted images: number, features [p, d] and the bank that left them out.

        Held features are taken fold by fold, with one bank at a time; where a reduction let them go, all
        banks wait for the images to be read again.
        """
        patches = self._grid[0] * self._grid[1]
        if not store.reduced:
            for fold, bank in enumerate(banks):
                for i in np.flatnonzero(wanted & (folds == fold)).tolist():
                    yield i, store.image(i, patches), bank
            return
        ready = list(banks)
        for i, image in enumerate(images if ready else ()):
            if wanted[i]:
                yield i, self._embed(image).reshape(patches, -1), ready[folds[i]]

"""SPADE (Cohen & Hoshen 2020, arXiv:2005.02357, "Sub-Image Anomaly Detection with Deep Pyramid
Correspondences").

What it does. An image's most similar normal images are found by pooled features of a pretrained network; each
position of the image is then compared with all positions of those few. With f(y) the pooled features and
F(y, p) the features of position p at 1/4, 1/8 and 1/16 together:

    d(y) = 1/K Σ_{k ∈ N_K(y)} |f(y) − f(x_k)|         d(y, p) = min_{k ∈ N_K'(y), q} |F(y, p) − F(x_k, q)|

When it fails. A position has no place: a normal part where it does not belong looks normal, unless the
retrieval shows it. The map is only as good as the few images that were retrieved: with many variants and few
images of each, normal variation looks anomalous.

Where ours differs. A position stands for 8×8 pixels instead of 4×4, and its features are projected onto
their leading principal axes: comparing all positions of two images costs a twentieth of what it would.
The paper's image score d(y) sees what changes the whole image, its map small faults; the image's score here
takes the map's maximum as well, both on one scale learnt from out-of-fold scores (`smooth_maximum.py`);
`image_score` chooses.

Memory and time are bounded. Positions are kept in half precision (errors of 5·10⁻⁴, far below the distances
between images) for at most `gallery_mb`; of more images a greedy choice by their pooled features keeps
positions, because what the rare ones show must stay in it. Time grows with `n_references`, not with images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import Settings, State, TrainingImages, parameter
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.detector import Learnt, PatchDetector, Raw
from anomalens.detectors.patches.smooth_maximum import SmoothMaximum, left_out_by_refits
from anomalens.detectors.patches.views.axes import leading_axes
from anomalens.detectors.patches.views.coreset import greedy_coreset
from anomalens.detectors.patches.views.maps import MAP, MapMaker
from anomalens.detectors.patches.views.retrieval import RETRIEVAL, Gallery, append_retrieval
from anomalens.detectors.patches.views.view import Floats
from anomalens.detectors.patches.window_network import window_network
from anomalens.detectors.patches.windows import Windows
from anomalens.errors import SettingError
from anomalens.job import Job

MAX_IMAGES: Final = 20_000  # normal images that the retrieval knows; a random choice of more
IMAGE_SCORES: Final = ("both", "retrieval", "map")
STRIDES: Final = (4, 8, 16)
_POSITION: Final = 8  # pixels from one position to the next
# A window of 16 px interpolates the maps at 1/16 linearly and is about two positions wide at 1/8.
_WINDOW: Final = 16
_SAMPLE: Final = 20_000  # positions that the projection is learnt from
_HALF: Final = 3e4  # times two fits half precision


@dataclass(frozen=True)
class SpadeSettings(Settings):
    """Parameters of SPADE."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers for positions, comma-separated; default: those at 1/4, 1/8 and 1/16"
    )
    pooled_taps: tuple[str, ...] = parameter(
        (), "layers for the retrieval, comma-separated; default: the one at 1/32"
    )
    n_neighbors: int = parameter(5, "K: images that the image's score averages over", limits=(1, 1000))
    n_references: int = parameter(10, "K': images whose positions are searched", limits=(1, 100))
    image_score: str = parameter("both", "what scores an image: retrieval (the paper's), map or both")
    dimensions: int = parameter(128, "principal axes of a position's features", limits=(1, 4096))
    gallery_mb: int = parameter(64, "positions kept of normal images, in MB", limits=(1, 10**5))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class Spade(PatchDetector):
    """Distance to the most similar normal images, and to their positions (Cohen & Hoshen 2020)."""

    name: ClassVar[str] = "spade"
    settings_type: ClassVar[type[Settings]] = SpadeSettings
    outputs: ClassVar[tuple[str, ...]] = (RETRIEVAL, MAP)
    settings: SpadeSettings

    fusion_: SmoothMaximum

    def learn(self, images: TrainingImages, job: Job) -> Learnt:
        s = self.settings
        if s.image_score not in IMAGE_SCORES:
            raise SettingError(f"image_score is {s.image_score!r}; give one of {', '.join(IMAGE_SCORES)}.")
        network = window_network(
            s.backbone,
            s.taps,
            s.pooled_taps,
            strides=STRIDES,
            windows=Windows.around_cells(images.size, _WINDOW, _POSITION),
            runtime=job.runtime,
        )
        gallery, rows = self._collect(network, images, job)

        def without(left_out: NDArray[np.bool_]) -> FeatureNetwork | None:
            others = gallery.subset(~left_out[rows])
            return None if others is None else self._searching(network, others, job.runtime)

        # before the final graph, so that no two galleries are in memory at once
        left_out = list(left_out_by_refits(self, images, without, job))
        self.fusion_ = SmoothMaximum.learn(left_out)
        return Learnt(self._searching(network, gallery, job.runtime), left_out)

    def raw(self, outputs: Mapping[str, Floats]) -> Raw:
        return {RETRIEVAL: float(outputs[RETRIEVAL]), MAP: float(outputs[MAP].max())}

    def fused(self, raw: Raw) -> float:
        asked = self.settings.image_score
        return self.fusion_(raw) if asked == "both" else raw[RETRIEVAL if asked == "retrieval" else MAP]

    def numbers(self) -> dict[str, Any]:
        return {"image_score": self.settings.image_score, "fusion": self.fusion_.to_json()}

    @classmethod
    def restored(cls, state: State) -> Self:
        n = state.numbers
        if n["image_score"] not in IMAGE_SCORES:
            raise ValueError(f"no image score is called {n['image_score']!r:.40}")
        detector = cls(SpadeSettings(image_score=n["image_score"]))
        detector.fusion_ = SmoothMaximum.from_json(n["fusion"])
        return detector

    def _collect(
        self, network: FeatureNetwork, images: TrainingImages, job: Job
    ) -> tuple[Gallery, NDArray[np.int64]]:
        """Two passes: pooled features and a sample of positions, then the gallery's positions.

        Returns
        -------
        gallery : Gallery
        rows : int64 [n]
            Which image each row of the gallery's pooled features is.
        """
        rng = np.random.default_rng(job.seed)
        known = np.sort(rng.permutation(len(images))[:MAX_IMAGES])
        wanted = np.isin(np.arange(len(images)), known)
        pooled, sample = [], []
        steps = job.progress(images, label="reading features", total=len(images))
        share = -(-_SAMPLE // len(known))
        for image, taken in zip(steps, wanted, strict=True):
            if not taken:
                continue
            features, vector = network(image)
            flat = features.reshape(-1, features.shape[2])
            pooled.append(vector)
            sample.append(flat[rng.permutation(len(flat))[:share]])
        self._grid = (features.shape[0], features.shape[1])
        vectors, centre, axes = np.stack(pooled), *self._projection(np.concatenate(sample), job.seed)
        positions = self._grid[0] * self._grid[1]
        room = max(1, int(self.settings.gallery_mb * 1e6) // (2 * positions * axes.shape[1]))
        kept = np.sort(greedy_coreset(vectors, room, seed=job.seed).chosen)
        order = np.concatenate([kept, np.setdiff1d(np.arange(len(known)), kept)])
        gallery = Gallery(
            vectors[order], np.empty((len(kept), axes.shape[1], positions), np.float16), centre, axes
        )
        place = {int(row): number for number, row in enumerate(known[kept])}
        steps = job.progress(images, label="keeping positions", total=len(images))
        for row, image in enumerate(steps):
            if row in place:
                features = network(image)[0].reshape(positions, -1)
                gallery.positions[place[row]] = np.clip(gallery.project(features).T, -_HALF, _HALF)
        return gallery, known[order]

    def _projection(self, sample: Floats, seed: int) -> tuple[Floats, Floats]:
        """Centre [c] and axes [c, d], scaled so that the features' mean square is one."""
        centre = sample.mean(0)
        axes = leading_axes(sample, self.settings.dimensions, seed=seed)
        size = float(np.sqrt(np.mean(np.sum((sample - centre) ** 2, axis=1))))
        return centre, axes / np.float32(size or 1.0)

    def _searching(self, network: FeatureNetwork, gallery: Gallery, runtime: Runtime) -> FeatureNetwork:
        s = self.settings
        graph = append_retrieval(
            network.graph,
            gallery,
            n_neighbors=min(s.n_neighbors, len(gallery.pooled)),
            n_references=min(s.n_references, len(gallery.positions)),
            maps=MapMaker(self._grid, self._size, s.sigma),
        )
        return network.with_graph(graph, runtime=runtime)

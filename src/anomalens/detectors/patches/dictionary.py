"""Self-similarity to a dictionary of normal sub-images (Napoletano et al. 2018, Sensors 18(1):209).

What it does. Features of a pretrained network describe overlapping sub-images; L1-normalised and reduced to
the principal components with 95 % of the variance, those of the normal images are clustered into k words. A
sub-image x scores its mean distance to the m nearest words, measured by what is usual at its nearest word w:

    d(x) = 1/m Σ_{j nearest} |x − w_j|        s(x) = (d(x) − mean_w) / deviation_w

with mean and deviation of d over the normal sub-images of w. The map is each pixel's mean over all sub-images
that show it.

Two weaknesses of the method, and what is done. *Cost*: the paper runs the network on every sub-image. Here it
runs once on the whole image, and the mean of a feature map over a sub-image's square is its feature. That is
not the same: features near the square's edge have seen beyond it, so a defect raises its neighbours a little
too. *What only the whole image shows* (a missing part, a shift of colour): pooled features of the whole image
give a second score, their Mahalanobis distance (Ledoit–Wolf covariance). Both come to one scale, learnt
from out-of-fold scores, and fused by a function that grows strictly with each (`smooth_maximum.py`).

When it fails. Defects much smaller than a sub-image drown in its mean. A few words cannot hold a very varied
normal state: raise `n_words`. A normal part in a wrong place looks normal in every sub-image.

Memory while fitting: features of 30,000 sub-images, one at least of each image, and its pooled vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.graph_surgery import Graph
from anomalens.detectors.contract import Settings, State, TrainingImages, parameter
from anomalens.detectors.features.covariance import moments, shrunk, whitener
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.detector import Learnt, PatchDetector, Raw
from anomalens.detectors.patches.smooth_maximum import SmoothMaximum, left_out_by_refits
from anomalens.detectors.patches.views.maps import MAP
from anomalens.detectors.patches.views.view import Floats
from anomalens.detectors.patches.views.words import Words
from anomalens.detectors.patches.window_network import POOLED, window_network
from anomalens.detectors.patches.windows import Windows
from anomalens.errors import SettingError
from anomalens.job import Job

LOCAL: Final = "local"
GLOBAL: Final = "global"
STRIDES: Final = (4, 8, 16)
_SAMPLE: Final = 30_000  # sub-images that the dictionary is learnt from


@dataclass(frozen=True)
class DictionarySettings(Settings):
    """Parameters of the dictionary."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers for sub-images, comma-separated; default: those at 1/4, 1/8 and 1/16"
    )
    pooled_taps: tuple[str, ...] = parameter(
        (), "layers for the whole image, comma-separated; default: the one at 1/32"
    )
    side: int = parameter(32, "side of a sub-image, in pixels", limits=(8, 1024))
    step: int = parameter(8, "from one sub-image to the next, in pixels", limits=(2, 512))
    n_words: int = parameter(100, "k: words of the dictionary", limits=(1, 5000))
    n_nearest: int = parameter(3, "m: words that a distance averages over", limits=(1, 100))
    variance: float = parameter(
        0.95, "share of the variance that the principal components keep", limits=(0.1, 1.0)
    )
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


@dataclass(frozen=True)
class _Sample:
    """Features of normal images: of some sub-images [s, c] and whose these are [s], and pooled [n, c']."""

    rows: Floats
    owner: NDArray[np.int64]
    pooled: Floats

    def subset(self, taken: NDArray[np.bool_]) -> _Sample | None:
        rows = taken[self.owner]
        if not rows.any():
            return None
        return _Sample(self.rows[rows], self.owner[rows], self.pooled[taken])


class Dictionary(PatchDetector):
    """Distance of sub-images to normal words, and of the image to others (Napoletano et al. 2018)."""

    name: ClassVar[str] = "dictionary"
    settings_type: ClassVar[type[Settings]] = DictionarySettings
    outputs: ClassVar[tuple[str, ...]] = (LOCAL, GLOBAL, MAP)
    settings: DictionarySettings

    fusion_: SmoothMaximum

    def learn(self, images: TrainingImages, job: Job) -> Learnt:
        s = self.settings
        if s.step > s.side:
            raise SettingError(
                f"step is {s.step} and side is {s.side}; give a step that is not larger, so that every "
                "pixel is in a sub-image."
            )
        windows = Windows.inside(images.size, s.side, s.step)
        self._grid = windows.grid
        network = window_network(
            s.backbone, s.taps, s.pooled_taps, strides=STRIDES, windows=windows, runtime=job.runtime
        )
        sample = _read(network, images, job)

        def learnt(part: _Sample) -> FeatureNetwork:
            graph = self._graph(network.graph, part, windows, job.seed)
            return network.with_graph(graph, runtime=job.runtime)

        def without(left_out: NDArray[np.bool_]) -> FeatureNetwork | None:
            part = sample.subset(~left_out)
            return None if part is None else learnt(part)

        left_out = list(left_out_by_refits(self, images, without, job))
        self.fusion_ = SmoothMaximum.learn(left_out)
        return Learnt(learnt(sample), left_out)

    def raw(self, outputs: Mapping[str, Floats]) -> Raw:
        return {LOCAL: float(outputs[LOCAL].max()), GLOBAL: float(outputs[GLOBAL][0])}

    def fused(self, raw: Raw) -> float:
        return self.fusion_(raw)

    def numbers(self) -> dict[str, Any]:
        return {"fusion": self.fusion_.to_json()}

    @classmethod
    def restored(cls, state: State) -> Self:
        detector = cls()
        detector.fusion_ = SmoothMaximum.from_json(state.numbers["fusion"])
        return detector

    def _graph(self, features: bytes, sample: _Sample, windows: Windows, seed: int) -> bytes:
        """The network with what the sample teaches at its end: `local`, `global` and the map."""
        s = self.settings
        words = Words.learn(
            sample.rows, count=s.n_words, n_nearest=s.n_nearest, variance=s.variance, seed=seed
        )
        middle, _ = moments(sample.pooled)
        whitening = whitener(shrunk(sample.pooled, middle, "ledoit-wolf")).astype(np.float32)
        graph = Graph.parse(features)
        rows = graph.add("Reshape", [EMBEDDING, [-1, sample.rows.shape[1]]], f"{LOCAL}/rows")
        scores = words.append(graph, rows, LOCAL)
        graph.add("Reshape", [scores, [1, *windows.grid]], LOCAL)
        down, across = windows.spreading(s.sigma)
        tall = graph.add("MatMul", [down, LOCAL], f"{MAP}/tall")
        graph.add("MatMul", [tall, across], MAP)
        centred = graph.add("Sub", [POOLED, middle.astype(np.float32)], f"{GLOBAL}/centred")
        white = graph.add("MatMul", [centred, whitening], f"{GLOBAL}/white")
        squares = graph.add("Mul", [white, white], f"{GLOBAL}/squares")
        total = graph.reduce("ReduceSum", squares, f"{GLOBAL}/total", axis=1, keep=True)
        graph.add("Sqrt", [total], GLOBAL)
        return graph.finish([(LOCAL, [1, *windows.grid]), (GLOBAL, [1, 1]), (MAP, [1, *windows.size])])


def _read(network: FeatureNetwork, images: TrainingImages, job: Job) -> _Sample:
    """One pass over the images."""
    rng = np.random.default_rng(job.seed)
    share = -(-_SAMPLE // len(images))
    rows, owner, pooled = [], [], []
    for i, image in enumerate(job.progress(images, label="reading features", total=len(images))):
        features, vector = network(image)
        flat = features.reshape(-1, features.shape[2])
        some = flat[np.sort(rng.permutation(len(flat))[:share])]
        rows.append(some)
        owner.append(np.full(len(some), i))
        pooled.append(vector)
    return _Sample(np.concatenate(rows), np.concatenate(owner), np.stack(pooled))

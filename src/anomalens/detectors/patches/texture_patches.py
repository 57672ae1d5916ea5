"""Handcrafted texture of patches under Gaussian mixtures, after Xie & Mirmehdi 2007 (TEXEMS, PAMI 29(8)).

What it does. At each of a few scales the image is cut into small overlapping patches, described by ten
numbers of brightness, colour, scatter, direction and contrast (`texture_features.py`). The patches of the
normal images are taken for draws from texture exemplars, texems: Gaussians of mean μ_k and covariance Σ_k,
found by expectation maximisation. A patch Z scores minus its log-likelihood; a pixel the mean over the
patches that show it, summed over the scales l:

    s(Z) = −log Σ_k α_k N(Z; μ_k, Σ_k)        map(p) = Σ_l mean_{Z ∋ p at l} s(Z)

smoothed with a Gaussian of 4 px. The image scores its map's maximum. No network: a model file of a few
kilobytes, made for surfaces.

When it fails. Objects: an edge is the same anywhere, and a part that is missing or in a wrong place has
normal texture. Faults of meaning, not of texture. Lighting that varies more in use than among the normal
images.

Where ours differs. The paper's texems are the patches' pixels; ten features of a patch need far fewer patches
to learn a full covariance from. Its scales are combined by logic on thresholded maps; here likelihoods are
added, as for independent scales, and calibration comes later.
"""

from __future__ import annotations

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
from anomalens.detectors.patches.texems import Texems
from anomalens.detectors.patches.texture_features import PatchTexture, opponent
from anomalens.errors import SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.progress import Progress

Floats = NDArray[np.float32]

_SAMPLE: Final = 10_000  # patches that the texems of a scale are learnt from


@dataclass(frozen=True)
class TexturePatchesSettings(Settings):
    """Parameters of the texture patches."""

    n_scales: int = parameter(3, "scales, each half as large as the one before", limits=(1, 6))
    side: int = parameter(8, "side of a patch, in pixels of its scale", limits=(3, 64))
    step: int = parameter(4, "from one patch to the next, in pixels of its scale", limits=(1, 64))
    n_texems: int = parameter(8, "Gaussians of each scale's mixture", limits=(1, 100))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class TexturePatches(Detector):
    """Minus the log-likelihood of handcrafted texture (after Xie & Mirmehdi 2007)."""

    name: ClassVar[str] = "texture-patches"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = TexturePatchesSettings
    settings: TexturePatchesSettings

    texems_: list[Texems]

    def fit(self, images: TrainingImages, job: Job) -> None:
        """Learn the texems; out-of-fold scores are left to the caller, because a fit takes seconds."""
        s = self.settings
        if s.step > s.side:
            raise SettingError(
                f"step is {s.step} and side is {s.side}; give a step that is not larger, so that every "
                "pixel is in a patch."
            )
        if not len(images):
            raise SettingError("texture-patches needs at least one normal image to fit and was given none.")
        self._prepare(images.size)
        self.texems_ = self._learn(images, job.seed, job.progress)

    def score(self, batch: Batch) -> Scores:
        maps = np.empty((len(batch), *self._size), np.float32)
        for i, image in enumerate(batch.images):
            maps[i] = self._map(image)
        return Scores(maps.max((1, 2)).astype(np.float64), maps)

    def state(self) -> State:
        s = self.settings
        arrays = {}
        for number, texems in enumerate(self.texems_):
            arrays.update(texems.arrays(f"scale{number}"))
        return State(
            numbers={"n_scales": len(self._scales), "side": s.side, "step": s.step, "sigma": s.sigma},
            arrays=arrays,
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        detector = cls(
            TexturePatchesSettings(
                n_scales=n["n_scales"], side=n["side"], step=n["step"], sigma=float(n["sigma"])
            )
        )
        detector._prepare(size)
        if len(detector._scales) != n["n_scales"]:
            raise ValueError(f"images of {list(size)} have no {n['n_scales']} scales")
        detector.texems_ = [
            Texems.from_arrays(state.arrays, f"scale{i}") for i in range(len(detector._scales))
        ]
        detector._map(np.zeros((*size, 3), np.uint8))  # arrays that do not fit fail here
        return detector

    def _prepare(self, size: tuple[int, int]) -> None:
        """Scales as far as two patches fit side by side."""
        s = self.settings
        factors = [2**i for i in range(s.n_scales) if 2**i * (s.side + s.step) <= min(size) or i == 0]
        self._size = size
        self._scales = [PatchTexture(size, factor=f, side=s.side, step=s.step) for f in factors]
        self._spreading = [scale.windows.spreading(s.sigma) for scale in self._scales]

    def _learn(self, images: TrainingImages, seed: int, progress: Progress) -> list[Texems]:
        """One pass over the images, then one mixture a scale."""
        rng = np.random.default_rng(seed)
        share = -(-_SAMPLE // len(images))
        samples: list[list[Floats]] = [[] for _ in self._scales]
        for image in progress(images, label="reading textures", total=len(images)):
            planes = opponent(image)
            for scale, sample in zip(self._scales, samples, strict=True):
                features = scale(planes)
                flat = features.reshape(-1, features.shape[2])
                sample.append(flat[np.sort(rng.permutation(len(flat))[:share])])
        return [
            Texems.learn(np.concatenate(sample), count=self.settings.n_texems, seed=seed)
            for sample in samples
        ]

    def _map(self, image: Pixels) -> Floats:
        planes = opponent(image)
        total = np.zeros(self._size, np.float32)
        for scale, texems, (down, across) in zip(self._scales, self.texems_, self._spreading, strict=True):
            features = scale(planes)
            surprise = texems.surprise(features.reshape(-1, features.shape[2]))
            total += down @ surprise.reshape(scale.windows.grid) @ across
        return total

"""PaDiM (Defard et al. 2021, "PaDiM: a Patch Distribution Modeling Framework", ICPR workshops).

What it does. At every position of the grid a Gaussian describes the pretrained features of the normal
images there; a patch's score is its Mahalanobis distance (equation 2):

    M(x_p) = sqrt((x_p − μ_p)ᵀ Σ_p⁻¹ (x_p − μ_p))

The map is these distances enlarged and smoothed with a Gaussian of 4 px. The features are not averaged
over a neighbourhood, so the map is finer than PatchCore's.

What differs from the paper. It judges each position alone. Here the leading principal components of whole
images' features are taken off first (`views/image_components.py`), so that a position is judged by whether it
fits the rest of its image; `components=0` leaves that out. There Σ_p is the position's own covariance + 0.01
I. Here positions share one covariance, and each adds the `rank` directions in which it scatters more than all
do, of a covariance that is shrunk towards the shared one (`views/position_gaussians.py`): as good or better
with a quarter of the numbers wherever there are few images or positions are alike. The paper keeps 100
channels drawn at random; here the leading principal axes of all patches are kept, which draws better maps
with fewer numbers (sweep `dimensions`). The image's score is the mean of the highest hundredth of the patches
instead of the one highest, which single noisy positions decide.

When it fails. Objects that are not aligned from image to image. One Gaussian cannot describe a position that
normally shows one of two things. Image scores are usually weaker than PatchCore's.

Memory. The model holds (rank + components + 2) · k float32 per position: 13 MB for a grid of 32 × 32, k = 64,
rank 16 and 32 components. While fitting, 40 bytes for each pair of images, and at most `max_images` images
are held, as float16.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import EMBEDDING
from anomalens.detectors.contract import Settings, TrainingImages, parameter
from anomalens.detectors.folds import fold_of_groups
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.detector import Learnt, LeftOut, PatchDetector
from anomalens.detectors.patches.views.half_precision import Halves, as_float16
from anomalens.detectors.patches.views.image_components import COMPONENTS
from anomalens.detectors.patches.views.maps import MAP, Drawing, MapMaker, Term, mean_of_highest
from anomalens.detectors.patches.views.memory import FOLDS
from anomalens.detectors.patches.views.position_gaussians import Scatter
from anomalens.detectors.patches.views.position_view import PositionView
from anomalens.detectors.patches.views.scoring import Placed, Scoring
from anomalens.detectors.patches.views.view import Floats
from anomalens.job import Job

UNLIKELY: Final = "mahalanobis"
# Share of the patches, the highest ones, whose mean is the image's score.
TOP_SHARE: Final = 0.01


@dataclass(frozen=True)
class PaDiMSettings(Settings):
    """Parameters of PaDiM."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers of the backbone, comma-separated; default: those at 1/8 and 1/16"
    )
    neighbourhood: int = parameter(
        1, "side of the window that features are averaged over, in patches", limits=(1, 15)
    )
    dimensions: int = parameter(64, "principal axes of the features that are kept", limits=(1, 512))
    regularisation: float = parameter(
        0.3, "added to the shared variance of every axis, as a share of their mean", limits=(1e-6, 1e6)
    )
    shrinkage: float = parameter(
        0.3, "share of the shared covariance in that of a position", limits=(0.0, 1.0)
    )
    rank: int = parameter(16, "directions that a position has of its own", limits=(0, 512))
    components: int = parameter(
        COMPONENTS, "principal components of whole images that are taken off first", limits=(0, 512)
    )
    max_images: int = parameter(1000, "images that the Gaussians are learnt from", limits=(2, 5000))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class PaDiM(PatchDetector):
    """A Gaussian of the patch features at each position (Defard et al. 2021)."""

    name: ClassVar[str] = "padim"
    settings_type: ClassVar[type[Settings]] = PaDiMSettings
    outputs: ClassVar[tuple[str, ...]] = (UNLIKELY, MAP)
    settings: PaDiMSettings

    def learn(self, images: TrainingImages, job: Job) -> Learnt:
        s = self.settings
        features = FeatureNetwork.from_backbone(
            s.backbone, s.taps, neighbourhood=s.neighbourhood, size=images.size, runtime=job.runtime
        )
        rows, held = self._collect(features, images, job)
        view = PositionView(
            held,
            fold_of_groups(np.asarray(images.groups)[rows], FOLDS, job.seed),
            dimensions=s.dimensions,
            components=s.components,
            seed=job.seed,
            scatter=Scatter(s.regularisation, s.shrinkage, s.rank),
        )
        del held
        maker = MapMaker(self._grid, images.size, s.sigma)
        scoring = Scoring(
            (EMBEDDING,),
            (Placed(view.gaussians, UNLIKELY, EMBEDDING, self._grid),),
            Drawing((Term(UNLIKELY, 1.0, maker),)),
        )

        def left_out() -> Iterator[LeftOut]:
            found, _ = view.left_out(job.progress)
            for i, distances in zip(rows.tolist(), found, strict=True):
                highest = float(maker(distances.reshape(self._grid)).max())
                yield LeftOut(i, {UNLIKELY: mean_of_highest(distances, TOP_SHARE)}, highest)

        return Learnt(scoring.network(features, images, job), left_out())

    def raw(self, outputs: Mapping[str, Floats]) -> dict[str, float]:
        return {UNLIKELY: mean_of_highest(self.on_grid(outputs[UNLIKELY]), TOP_SHARE)}

    def _collect(
        self, network: FeatureNetwork, images: TrainingImages, job: Job
    ) -> tuple[NDArray[np.int64], Halves]:
        """Features [m, p, c] of all images or a random part of them, and which these are."""
        rows = np.arange(len(images), dtype=np.int64)
        if len(rows) > self.settings.max_images:
            drawn = np.random.default_rng(job.seed).permutation(len(rows))
            rows = np.sort(drawn[: self.settings.max_images])
        held: Halves | None = None
        place = 0
        for i, image in enumerate(job.progress(images, label="reading features", total=len(images))):
            if place == len(rows) or i != rows[place]:
                continue
            (features,) = network(image)
            h, w, channels = features.shape
            if held is None:
                self._grid = (h, w)
                held = np.empty((len(rows), h * w, channels), np.float16)
            held[place] = as_float16(features).reshape(h * w, channels)
            place += 1
        assert held is not None
        return rows, held

"""auto: views of an image from one pass of a network, combined by evidence from normal images.

What it does. One graph gives an image's patches, averaged, not averaged and finer, and a vector of the whole.
Each view has its own model of normality:

- patches: distance to the nearest vector of a greedy coreset (PatchCore, Roth et al. 2022), wherever in the
  image it may be (`bank.py`);
- layout: a Gaussian at every second averaged patch (after PaDiM, Defard et al. 2021, with a shared
  covariance: `position_gaussians.py`) of what the rest of the image does not explain of it: principal
  components of whole images are taken off first (`image_components.py`). It finds what stands in a wrong
  place and what does not go together, such as a filling that does not match the label;
- context: Mahalanobis distance of pooled features (Rippel et al. 2021); sees what no patch shows, such as
  another kind of image;
- detail: as layout, of patches without averages, at every position; in the map alone;
- fine: at each position of patches at 1/4 and 1/8 a mean, and one covariance for all (`shared_gaussians.py`);
  in the map alone, for what is a few pixels wide.

The image's score adds the first three on a common scale: minus log₁₀ of the share of normal images above,
learnt from images that the scoring models left out (`calibration/tail_scale.py`; empirical p-values would tie
beyond the largest normal score):

    s = t(patches) + w_l · t(layout) + w_c · t(context),   w_l = r a (1 − v),  w_c = 0.5 r ((1 − v) g + 4 v)

where r grows from 0 at four groups to 1 at sixteen, because fewer scores set no scale, and g = min(1, groups
/ 200). a says whether things have their place: it falls from 1 to 0 as left-out normal patches lie 0.5 to
0.75 as far from the bank as any two patches lie apart. v, 0–1, says how varied the images are, by evidence
from the normal ones: it is above 0 where left-out normal patches lie far from the bank and defects painted on
normal images hide among them (`auto_weights.py`). Then every image shows something else, and the whole tells
more than its patches. The raw score of patches is the mean of the highest half per cent, that of the layout
of the highest hundredth. The map adds patches, detail and fine, each divided by its spread on normal images;
how much of each is chosen by evidence: defects are painted on left-out normal images, and the mix that
outlines them best is taken, less half of what its maximum loses in ranking the painted images, beyond a point
of AUROC (`auto_map.py`, `evidence.py`); the fine view is tried with two metrics, halfway between Euclid's and
Mahalanobis' and nearly the latter. That choice changes the map alone, never the score. What is learnt from
the same left-out images that calibrate: the tail scales, monotone functions of one view each, the weights of
layout and context, and the mix, of which the regions' threshold depends. The principal axes of layout and
detail and the covariance of the fine view are learnt from all images; what their components leave of an image
was computed without its fold, but components that leave something of other folds have seen it.

What was tried and left out (256 px; transistor, juice bottle, magnetic tile, bricks, brain, six papers):
dividing distances by those of normal patches nearby, position by position or bank vector by bank vector;
whitened, normalised or square-rooted features; 384 px. Each gained on some sets and lost on more.

When it fails. Where the whole image decides (CIFAR-10), context alone still ranks better. Painted defects say
nothing of logical faults, so the map's mix is not chosen for them.

Memory. As PatchCore, and for detail and layout at most `max_images` images at 2 bytes a feature (200 MB for
500 at 256 px) and their projections, 40 bytes for each pair of images, for context 4 bytes a feature of every
image, for the fine view 8 bytes a feature of five images and 2 of 96; where that is more than `memory_mb`
(from some 1000 px on), there is no fine view. From some 600 px on fewer than 48 images are
painted, so that their features take a quarter of `memory_mb`. The model holds 4 · (components + 18) ·
dimensions bytes a position for detail, where the map has a share of it, and as much of 128 dimensions for a
quarter of the positions: 13 and 7 MB at 256 px, 16 times as much at 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Part,
    Reasons,
    Scores,
    Settings,
    State,
    TrainingImages,
    parameter,
)
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.auto_heads import LAYOUT_SHARE, TOP_SHARE, Context, Fusion
from anomalens.detectors.patches.image_components import COMPONENTS
from anomalens.detectors.patches.maps import mean_of_highest
from anomalens.errors import ModelFileError, SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job


@dataclass(frozen=True)
class AutoSettings(Settings):
    """Parameters of auto."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers that patches come from, comma-separated; default: those at 1/8 and 1/16"
    )
    layout: float = parameter(1.0, "weight of the layout view in the image's score", limits=(0.0, 10.0))
    context: float = parameter(0.5, "weight of the context view, from 200 groups on", limits=(0.0, 10.0))
    fine: bool = parameter(True, "let the map have a share of patches on a finer grid")
    coreset_ratio: float = parameter(0.01, "share of all patches that the bank keeps", limits=(1e-6, 1.0))
    min_bank: int = parameter(1000, "the bank keeps at least this many patches", limits=(1, 10**6))
    max_bank: int = parameter(10_000, "the bank keeps at most this many patches", limits=(1, 10**6))
    dimensions: int = parameter(64, "principal axes of the detail view", limits=(1, 512))
    components: int = parameter(
        COMPONENTS, "principal components of images that detail and layout take off", limits=(0, 512)
    )
    max_images: int = parameter(500, "images that detail and layout learn from", limits=(2, 5000))
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))
    memory_mb: int = parameter(1000, "budget for patch features while fitting, in MB", limits=(16, 10**6))


class Auto(Detector):
    """Patches, layout and context from one network, weighted by evidence from normal images."""

    name: ClassVar[str] = "auto"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = AutoSettings
    settings: AutoSettings

    _network: FeatureNetwork
    _grid: tuple[int, int]
    _size: tuple[int, int]
    _context: Context
    _fusion: Fusion
    chosen_: Mapping[str, Any]

    def fit(self, images: TrainingImages, job: Job) -> Scores:
        s = self.settings
        if s.min_bank > s.max_bank:
            raise SettingError(
                f"min_bank is {s.min_bank} and max_bank is {s.max_bank}; give a min_bank that is not larger."
            )
        if not len(images):
            raise SettingError("auto needs at least one normal image to fit and was given none.")
        from anomalens.detectors.patches.auto_fit import AutoFit  # checking needs none of it

        found = AutoFit(s, images, job)
        self._grid, self._size = found.grid, images.size
        self._network, self._context = found.network, found.context
        self._fusion, self.chosen_ = found.fusion, found.chosen
        return found.scores

    def score(self, batch: Batch) -> Scores:
        scores = np.empty(len(batch), np.float64)
        maps = np.empty((len(batch), *self._size), np.float32)
        raw: list[dict[str, float]] = []
        for i, image in enumerate(batch.images):
            views, maps[i] = self._views(image)
            scores[i] = self._fusion.score(views)
            raw.append(views)
        return Scores(scores, maps, explain=lambda i: self._reasons(raw[i]))

    def _reasons(self, raw: Mapping[str, float]) -> Reasons:
        """How much each view adds to the score."""
        parts = self._fusion.parts(raw)
        ordered = sorted(parts.items(), key=lambda part: -part[1])
        return Reasons(parts=tuple(Part(view, value) for view, value in ordered))

    @property
    def notes(self) -> tuple[str, ...]:
        return (str(self.chosen_["why"]),)

    def _views(self, image: Pixels) -> tuple[dict[str, float], NDArray[np.float32]]:
        """Each view's raw score, and the map."""
        features, nearest, misplaced, anomaly_map = self._network(image)
        if nearest.shape != self._grid:
            raise ModelFileError(
                f"The model's network gives distances {list(nearest.shape)} where {list(self._grid)} "
                "were learnt; fit the model again."
            )
        raw = {
            "patches": mean_of_highest(nearest, TOP_SHARE),
            "layout": mean_of_highest(misplaced, LAYOUT_SHARE),
            "context": self._context.score(features),
        }
        return raw, anomaly_map

    def state(self) -> State:
        return State(
            numbers={
                **self._network.numbers(),
                "grid": list(self._grid),
                "fusion": self._fusion.to_json(),
                "chosen": dict(self.chosen_),
            },
            arrays=self._context.arrays(),
            graphs={"patches": self._network.graph},
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        if "layout" not in n["fusion"]["weights"]:
            raise ModelFileError(
                "The model is of an earlier version, whose auto had other views; fit the model again."
            )
        detector = cls()
        detector._grid = (int(n["grid"][0]), int(n["grid"][1]))
        detector._size = size
        detector._fusion = Fusion.from_json(n["fusion"])
        detector._context = Context.from_arrays(state.arrays)
        detector.chosen_ = dict(n["chosen"])
        detector._network = FeatureNetwork.from_numbers(
            n, state.graphs["patches"], size=size, runtime=runtime
        )
        return detector

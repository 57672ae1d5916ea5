"""auto: views of an image from one pass of a network, combined by evidence from normal images.

Each view has its own model of normality: patches (a bank, Roth et al. 2022), layout (a Gaussian at every
second patch, after Defard et al. 2021, of what the rest of the image does not explain of it) and context
(Rippel et al. 2021) make the image's score,

    s = t(patches) + w_l · t(layout) + w_c · t(context),

where t is minus log₁₀ of the share of normal images above, learnt from images that the scoring models left
out, and `weights.py` says what w_l and w_c rest on. Patches, detail and fine make the map; the mix that
outlines defects best which are painted on left-out normal images is taken (`map_choice.py`). The page
docs/detectors/auto.md tells it all: what each view is good at, when it fails, and what was measured.

Memory. As PatchCore, and for detail and layout at most `max_images` images at 2 bytes a feature (200 MB for
500 at 256 px) and their projections, 40 bytes for each pair of images, for context 4 bytes a feature of every
image, for the fine view 8 bytes a feature of five images and 2 of 96; where that is more than `memory_mb`
(from some 1000 px on), there is no fine view. From some 600 px on fewer than 48 images are painted, so that
their features take a quarter of `memory_mb`. The model holds 4 · (components + 18) · dimensions bytes a
position for detail, where the map has a share of it, and as much of 128 dimensions for a quarter of the
positions: 13 and 7 MB at 256 px, 16 times as much at 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from anomalens.backbones.embedding import FEATURES
from anomalens.detectors.contract import Part, Reasons, Settings, State, TrainingImages
from anomalens.detectors.patches.auto.context import Context
from anomalens.detectors.patches.auto.names import CONTEXT, LAYOUT, NEAREST, PATCHES
from anomalens.detectors.patches.auto.settings import AutoSettings
from anomalens.detectors.patches.auto.tail_fusion import LAYOUT_SHARE, TOP_SHARE, TailFusion
from anomalens.detectors.patches.detector import Learnt, PatchDetector, Raw
from anomalens.detectors.patches.views.maps import MAP, mean_of_highest
from anomalens.detectors.patches.views.view import Floats
from anomalens.errors import ModelFileError
from anomalens.job import Job


class Auto(PatchDetector):
    """Patches, layout and context from one network, weighted by evidence from normal images."""

    name: ClassVar[str] = "auto"
    settings_type: ClassVar[type[Settings]] = AutoSettings
    outputs: ClassVar[tuple[str, ...]] = (FEATURES, NEAREST, LAYOUT, MAP)
    says_why: ClassVar[bool] = True
    settings: AutoSettings

    _context: Context
    _fusion: TailFusion
    chosen_: Mapping[str, Any]

    def learn(self, images: TrainingImages, job: Job) -> Learnt:
        from anomalens.detectors.patches.auto.fit import fit_auto  # checking needs none of it

        found = fit_auto(self.settings, images, job)
        self._grid, self._context = found.grid, found.context
        self._fusion, self.chosen_ = found.fusion, found.chosen
        return found.learnt

    def raw(self, outputs: Mapping[str, Floats]) -> Raw:
        return {
            PATCHES: mean_of_highest(self.on_grid(outputs[NEAREST]), TOP_SHARE),
            LAYOUT: mean_of_highest(outputs[LAYOUT], LAYOUT_SHARE),
            CONTEXT: self._context.score(outputs[FEATURES]),
        }

    def fused(self, raw: Raw) -> float:
        return self._fusion.score(raw)

    def reasons(self, raw: Raw) -> Reasons:
        """How much each view adds to the score."""
        ordered = sorted(self._fusion.parts(raw).items(), key=lambda part: -part[1])
        return Reasons(parts=tuple(Part(view, value) for view, value in ordered))

    @property
    def notes(self) -> tuple[str, ...]:
        return (str(self.chosen_["why"]),)

    def numbers(self) -> dict[str, Any]:
        return {"fusion": self._fusion.to_json(), "chosen": dict(self.chosen_)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return self._context.arrays()

    @classmethod
    def restored(cls, state: State) -> Self:
        n = state.numbers
        if "layout" not in n["fusion"]["weights"]:
            raise ModelFileError(
                "The model is of an earlier version, whose auto had other views; fit the model again."
            )
        detector = cls()
        detector._fusion = TailFusion.from_json(n["fusion"])
        detector._context = Context.from_arrays(state.arrays)
        detector.chosen_ = dict(n["chosen"])
        return detector

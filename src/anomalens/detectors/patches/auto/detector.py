"""auto: views of an image from one pass of a network, combined by evidence from normal images.

What it does. One graph gives an image's patches, averaged, not averaged and finer, and a vector of the whole.
Each view has its own model of normality:

- patches: distance to the nearest vector of a greedy coreset (PatchCore, Roth et al. 2022), wherever in the
  image it may be (`views/bank.py`);
- layout: a Gaussian at every second averaged patch (after PaDiM, Defard et al. 2021, with a shared
  covariance: `views/position_gaussians.py`) of what the rest of the image does not explain of it: principal
  components of whole images are taken off first (`views/image_components.py`). It finds what stands in a
  wrong place and what does not go together, such as a filling that does not match the label;
- context: Mahalanobis distance of pooled features (Rippel et al. 2021); sees what no patch shows, such as
  another kind of image;
- detail: as layout, of patches without averages, at every position; in the map alone;
- fine: at each position of patches at 1/4 and 1/8 a mean, and one covariance for all
  (`views/shared_gaussians.py`); in the map alone, for what is a few pixels wide.

The image's score adds the first three on a common scale: minus log₁₀ of the share of normal images above,
learnt from images that the scoring models left out (`calibration/tail_scale.py`; empirical p-values would tie
beyond the largest normal score):

    s = t(patches) + w_l · t(layout) + w_c · t(context)
    w_l = r a (1 − v),   w_c = 0.5 r ((1 − v) g + 4 v)

where r grows from 0 at four groups to 1 at sixteen, because fewer scores set no scale, and g = min(1, groups
/ 200). a says whether things have their place: it falls from 1 to 0 as left-out normal patches lie 0.5 to
0.75 as far from the bank as any two patches lie apart. v, 0–1, says how varied the images are, by evidence
from the normal ones: it is above 0 where left-out normal patches lie far from the bank and defects painted on
normal images hide among them (`weights.py`). Then every image shows something else, and the whole tells
more than its patches. The raw score of patches is the mean of the highest half per cent, that of the layout
of the highest hundredth. The map adds patches, detail and fine, each divided by its spread on normal images;
how much of each is chosen by evidence: defects are painted on left-out normal images, and the mix that
outlines them best is taken, less half of what its maximum loses in ranking the painted images, beyond a point
of AUROC (`map_choice.py`, `painted.py`); the fine view is tried with two metrics, halfway between Euclid's
and Mahalanobis' and nearly the latter. That choice changes the map alone, never the score. What is learnt
from the same left-out images that calibrate: the tail scales, monotone functions of one view each, the
weights of layout and context, and the mix, of which the regions' threshold depends. The principal axes of
layout and detail and the covariance of the fine view are learnt from all images; what their components leave
of an image was computed without its fold, but components that leave something of other folds have seen it.

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

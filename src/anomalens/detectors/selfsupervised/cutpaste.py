"""CutPaste (Li et al. 2021, arXiv:2104.04015).

What it does. A classifier is trained on normal images to tell three kinds apart: an image as it is, one into
which an upright rectangle of itself was pasted elsewhere (2 to 15 % of the area, slightly other colours), and
one with a pasted scar (long, thin, tilted). Features f before its head that see such seams see faults too:

    s(x) = ((f(x) − μ)ᵀ Σ⁻¹ (f(x) − μ) / d + log 2π) / 2

minus the log-density per dimension of the whitened features, with mean and shrunk covariance of the d
features over the normal training images (their Gaussian density estimator, but for a constant). Image level
only: their map needs a second model of patches, and `patchcore` or `auto` give better ones.

Where ours differs: they train a ResNet-18, or fine-tune a larger network with ImageNet's weights, at 256 px.
Ours begins from random weights, has four small residual blocks, takes the image at its prepared size and
keeps the weights of the lowest loss on validation images.

When it fails. Faults that have no seam (a missing part, a soft stain, another kind of object) are not what
it was trained to see; and from scratch on a few hundred images it stays behind pretrained patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

CHANGES: Final = ("cutpaste", "scar")


@dataclass(frozen=True)
class CutPasteSettings(LearnedSettings):
    """Parameters of CutPaste."""

    changes: tuple[str, ...] = parameter(CHANGES, "what is pasted, each a class of its own: cutpaste, scar")
    width: int = parameter(16, "channels of the first block", limits=(4, 256))
    blocks: int = parameter(4, "residual blocks, each halving the image", limits=(1, 6))


class CutPaste(LearnedDetector):
    """Density of features that were trained to see pasted parts."""

    name: ClassVar[str] = "cutpaste"
    family: ClassVar[str] = "self-supervised"
    pixel_level: ClassVar[bool] = False
    components: ClassVar[tuple[str, ...]] = ("features of low density",)
    settings_type: ClassVar[type[Settings]] = CutPasteSettings
    settings: CutPasteSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        for word in self.settings.changes:
            if word not in CHANGES:
                raise unknown_name("change", word, CHANGES)
        if not self.settings.changes:
            raise SettingError("The parameter changes is empty; give cutpaste, scar or both.")

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.cutpaste import PasteClassifier, PasteScorer
        from anomalens.training.gaussian import GaussianDensity
        from anomalens.training.run import Trained

        s = self.settings
        classifier = PasteClassifier(tuple(dict.fromkeys(s.changes)), width=s.width, blocks=s.blocks)
        run.train(classifier.learner())
        features = run.validation_values(classifier, rows=run.split.train)
        return Trained(PasteScorer(classifier, GaussianDensity(features.numpy())))

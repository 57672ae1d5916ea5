"""Which way was it turned? Golan & El-Yaniv 2018 (arXiv:1805.10917), Hendrycks et al. 2019 (1906.12340).

What it does. A classifier is trained on normal images that were turned by quarters and shifted by a quarter
of their side, to tell how. On what it has never seen it tells worse:

    s(x) = − mean over the changes t of   Σ over heads of log p(right answer | t(x))

One head each for the turn (4), the shift down (3), right (3) and, if asked for, the mirror image (2), as
Hendrycks et al. have them; all combinations, 36 by default, are made in the graph. `score=dirichlet` weighs
all answers of a head, not the right one only, by Golan & El-Yaniv's normality score (their eq. 2): the
log-density under the Dirichlet distribution that fits the answers on training images.

Where ours differs: images are averaged down to `side` pixels first, and the network has three residual
blocks and 0.3 million weights, so that 36 views take some milliseconds on a CPU. Golan & El-Yaniv classify
all 72 combinations in one head.

When it fails. Objects that look the same turned (cells, screws from above, many textures) give the classifier
nothing to learn. That is measured on normal images which validate: a head that tells hardly better than
chance is left out of the score. Without turns, shifts only say where something is (on blood cells they
ranked far worse than the features), so the score is then minus the log-density of a Gaussian on the
features; a note says so. Small faults on large images are no other turn of anything: patches find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

TRANSFORMATIONS: Final = ("rotate", "shift", "flip")
SCORES: Final = ("softmax", "dirichlet", "features")
_TOLD: Final = 0.06  # of the way from chance to certainty: cells reach 0.01, birds after a few epochs 0.09
_AT_MOST: Final = 500  # images that a Dirichlet distribution, or an accuracy, is taken from
_WORDS: Final = {
    "turn": "quarter turns", "down": "vertical shifts", "right": "horizontal shifts",
    "mirror": "mirror images",
}  # fmt: skip


@dataclass(frozen=True)
class RotNetSettings(LearnedSettings):
    """Parameters of the classifier of transformations."""

    epochs: int = parameter(20, "passes over the training images, at most", limits=(1, 10**5))
    transformations: tuple[str, ...] = parameter(
        ("rotate", "shift"), "what is to be told: rotate, shift, flip"
    )
    score: str = parameter("softmax", "softmax, dirichlet or features")
    side: int = parameter(32, "images are averaged down to this side, in pixels", limits=(8, 256))
    width: int = parameter(32, "channels of the first block", limits=(4, 256))


class RotNet(LearnedDetector):
    """How badly a classifier tells how an image was turned and shifted."""

    name: ClassVar[str] = "rotnet"
    family: ClassVar[str] = "self-supervised"
    pixel_level: ClassVar[bool] = False
    components: ClassVar[tuple[str, ...]] = ("transformations not told",)
    settings_type: ClassVar[type[Settings]] = RotNetSettings
    settings: RotNetSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        if self.settings.score not in SCORES:
            raise unknown_name("score", self.settings.score, SCORES)
        for word in self.settings.transformations:
            if word not in TRANSFORMATIONS:
                raise unknown_name("transformation", word, TRANSFORMATIONS)
        if not self.settings.transformations:
            raise SettingError("The parameter transformations is empty; give rotate, shift or flip.")

    def learn(self, run: TrainingRun) -> Trained:
        import torch

        from anomalens.training.gaussian import GaussianDensity
        from anomalens.training.rotnet import (
            FeatureScorer,
            ViewClassifier,
            Views,
            ViewScorer,
            accuracy,
            answers,
            dirichlet_weights,
        )
        from anomalens.training.run import Trained
        from anomalens.training.views import CHOICES, KINDS

        s = self.settings
        heads = tuple(head for kind in TRANSFORMATIONS if kind in s.transformations for head in KINDS[kind])
        classifier = ViewClassifier(heads, run.size, side=s.side, width=s.width)
        run.train(classifier.learner())
        views = Views(classifier)
        known, _ = answers(views, run.images.batches(_some(run.split.validation, run.job.seed), 1))
        told, notes = [], []
        for head in heads:
            right, chance = accuracy(known[head], views.choice(head)), 1 / CHOICES[head]
            if right >= chance + _TOLD * (1 - chance):
                told.append(head)
                continue
            notes.append(
                f"{_WORDS[head]} of normal images are told in {right:.0%} of all cases, by chance in "
                f"{chance:.0%}: such objects look the same, and {_WORDS[head]} are left out of the score"
            )
        # shifts alone are told by where something is, and the features then say more of what it is
        lost = not told or ("turn" in heads and "turn" not in told)
        if s.score == "features" or lost:
            if lost:
                notes.append("the score is how unusual the features are, not how badly changes are told")
            _, features = answers(views, run.images.batches(run.split.train, 1))
            return Trained(FeatureScorer(views, GaussianDensity(features.numpy())), tuple(notes))
        weights = {head: torch.eye(CHOICES[head]) for head in told}
        if s.score == "dirichlet":
            known, _ = answers(views, run.images.batches(_some(run.split.train, run.job.seed), 1))
            weights = {head: dirichlet_weights(known[head], views.choice(head)) for head in told}
        return Trained(ViewScorer(views, weights), tuple(notes))


def _some(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """At most `_AT_MOST` of the rows, drawn: neighbours in a folder are alike."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:_AT_MOST])

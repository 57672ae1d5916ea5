"""Autoencoder (Hinton & Salakhutdinov 2006; for defects Bergmann et al. 2019, arXiv:1807.02011).

What it does. A network is trained to give normal images back through a code that is too small to hold
everything. What it has never seen it gives back badly:

    map(x, p) = e(x, g(f(x)))(p) / u(p),   s(x) = (mean over p of map⁴)^¼

with encoder f, decoder g, the map smoothed, u(p) what normal images have there on average, and e `flat`:

    e(x, y) = |x − y| / (1 + (c(y) / 0.1)²),   c(y) = largest − smallest value of y in 5×5 pixels

or the squared difference (L2), the absolute one (L1), or (1 − SSIM)/2 (Wang et al. 2004), which compares
structure in windows of 11 pixels and not single values.

An autoencoder places edges a pixel off, and those errors hide faint faults. The weight of Perona & Malik
(1990) leaves them out, u forgives places that always vary, and the fourth power lies between the mean, in
which small faults drown, and the maximum, which any speck raises. Images are changed a little in every epoch
and batches are small: of a hundred images an autoencoder otherwise learns too few steps and their pixels by
heart. All four were chosen on many sets of few images, each judged by what was best on the others
(benchmarks/few_images.md). Who knows that faults are darker than what they lie on (stains, parasites) says
`side=darker`.

Architectures. `conv`: strided convolutions and a code of `latent` numbers. `shelf`: the autoencoder of a
thesis on misplaced shop products (96×96; 3×3 convolutions with 16, 8 and 3 filters, pooling by 4, 4 and 2,
so 27 numbers at 96 px), trained as it says: Adadelta at Keras' rate of 0.001, squared error, batches of 32,
patience 30. `cells`: a report on malaria cells (128×128, batches of 32, Adam at 0.001, 80 to 20 split,
rotations and flips, up to 1000 epochs with early stopping); it does not say its filters, ours are 32, 16 and
8. `dense`: fully connected layers. Each is under-complete; `noise` makes it denoising (Vincent et al. 2008),
`sparse` and `contractive` add the penalties of those names.

When it fails. A strong network also gives anomalies back; fine texture is blurred, and then edges of normal
parts have larger errors than faint faults. On textures and small faults pretrained patches are far better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Self

import numpy as np

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import MIN_SCALE_IMAGES, LearnedDetector, LearnedSettings, with_defaults
from anomalens.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from anomalens.training.autoencoder import Autoencoder
    from anomalens.training.reconstruction import ReconstructionScorer
    from anomalens.training.run import Trained, TrainingRun

ARCHITECTURES: Final = ("conv", "shelf", "cells", "dense")
ERRORS: Final = ("l2", "l1", "ssim")
MAP_ERRORS: Final = (*ERRORS, "flat")
SIDES: Final = ("both", "darker", "brighter")
IMAGE_SCORES: Final = ("mean", "max")
MAP_SCORES: Final = ("norm4", *IMAGE_SCORES)
SMALL_BATCH: Final = 8  # of a hundred images in batches of 32 an autoencoder learns in too few steps
MILD: Final = "rotate=10,scale=0.1,crop=0.1,brightness=0.1"
# How the two published systems train and score; settings that the user gave stay.
_PUBLISHED: Final = {
    "batch_size": 32, "error": "l2", "image_score": "mean", "relative": False, "schedule": "constant",
    "patience": 30,
}  # fmt: skip
PRESETS: Final = {
    "shelf": {**_PUBLISHED, "optimiser": "adadelta", "augment": ""},
    "cells": {**_PUBLISHED, "epochs": 1000, "validation": 0.2, "augment": "flip=both,rotate=180"},
}


@dataclass(frozen=True)
class AutoencoderSettings(LearnedSettings):
    """Parameters of the autoencoders."""

    batch_size: int = parameter(0, "images per step; 0: 8, or as published", limits=(0, 4096))
    augment: str = parameter(MILD, "changes drawn anew in every epoch; empty for none")
    architecture: str = parameter("conv", "conv, shelf, cells or dense; the middle two train as published")
    latent: int = parameter(100, "numbers of the code (conv, dense)", limits=(1, 4096))
    depth: int = parameter(4, "halvings of the image (conv)", limits=(1, 7))
    width: int = parameter(16, "channels after the first halving (conv)", limits=(1, 256))
    loss: str = parameter("l2", "what training lowers: l2, l1 or ssim")
    error: str = parameter("flat", "what the map shows: l2, l1, ssim or flat (faults, and no edges)")
    relative: bool = parameter(True, "divide errors by what is usual at their place")
    side: str = parameter("both", "which errors count: both, or where an image is darker or brighter")
    image_score: str = parameter("norm4", "of the map: norm4 (between the two), mean or max")
    sigma: float = parameter(2.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))
    noise: float = parameter(0.0, "noise on the input while training, of 0–1: denoising", limits=(0, 2))
    sparse: float = parameter(0.0, "weight of the code's mean absolute value", limits=(0, 1e6))
    contractive: float = parameter(0.0, "weight of the code's squared Jacobian", limits=(0, 1e6))

    def completed(self) -> Self:
        """With what a published architecture brings; SettingError for an unknown word."""
        for kind, value, known in (
            ("architecture", self.architecture, ARCHITECTURES),
            ("loss", self.loss, ERRORS),
            ("error", self.error, MAP_ERRORS),
            ("side", self.side, SIDES),
            ("image score", self.image_score, MAP_SCORES),
        ):
            if value not in known:
                raise unknown_name(kind, value, known)
        if self.side != "both" and (self.error) == "ssim":
            raise SettingError(
                f"SSIM has no sides and was given side={self.side}; choose error=l1, l2 or flat."
            )
        if self.batch_size == 1:
            raise SettingError("batch_size is 1 and batch norm compares images; give 2 or more, or 0.")
        return with_defaults(self, {"batch_size": SMALL_BATCH, **PRESETS.get(self.architecture, {})})


class Cae(LearnedDetector):
    """Reconstruction error of an autoencoder, per pixel and per image."""

    name: ClassVar[str] = "cae"
    family: ClassVar[str] = "reconstruction"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("reconstruction error",)
    settings_type: ClassVar[type[Settings]] = AutoencoderSettings
    settings: AutoencoderSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.settings = self.settings.completed()

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.run import Trained

        return Trained(reconstruction_scorer(trained_autoencoder(run, self.settings), run, self.settings))


def trained_autoencoder(run: TrainingRun, settings: AutoencoderSettings) -> Autoencoder:
    """The autoencoder of these (completed) settings, trained on the run's images."""
    from anomalens.training.autoencoder import build
    from anomalens.training.reconstruction import Penalties, autoencoder_learner

    s = settings
    network = build(s.architecture, run.size, latent=s.latent, depth=s.depth, width=s.width)
    penalties = Penalties(noise=s.noise, sparse=s.sparse, contractive=s.contractive)
    run.train(autoencoder_learner(network, loss=s.loss, penalties=penalties))
    return network


def reconstruction_scorer(
    network: Autoencoder, run: TrainingRun, settings: AutoencoderSettings
) -> ReconstructionScorer:
    """Image → error and map, by these settings."""
    from anomalens.training.reconstruction import ReconstructionScorer

    scorer = ReconstructionScorer(
        network,
        run.size,
        error=settings.error,
        sigma=settings.sigma,
        image_score=settings.image_score,
        side=settings.side,
    )
    if settings.relative:
        rows = run.split.validation
        if len(rows) < MIN_SCALE_IMAGES:
            rows = np.union1d(rows, run.split.train)
        scorer.learn_usual(run.images.batches(rows, run.plan.batch_size))
    return scorer

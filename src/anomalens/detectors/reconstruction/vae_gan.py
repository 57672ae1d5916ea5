"""AnoVAEGAN (Baur et al. 2018, arXiv:1804.04488): a spatial variational autoencoder and a discriminator.

What it does. An encoder gives each place of a coarse grid `latent` numbers with a Gaussian each, a decoder
gives the image back, and a discriminator that learns to tell such images from real ones keeps them from
being blurred:

    L = mean |x − x̂| + prior · KL(q(z | x) ‖ N(0, I)) + adversarial · L_adv

    map(x) = |x − x̂|, x̂ from the mean code;   s(x) = mean of the map, or its maximum after smoothing

The code keeps the place of things, and is held narrow by the KL, by its noise and by few places (a 32nd of
each side; the paper's code is finer).

Not taken over: multiplying by a brain mask (`--preprocess mask=FILE` does that for fixed views), keeping the
positive residual only (true of bright lesions, not in general), and the median filter over three
dimensions; here `sigma` smooths the map.

When it fails. A code with place in it also gives lesions back, the more so the fewer the halvings: with 8×8
places it gave tumours back that the hundred numbers of `cae` cannot hold. Where images differ in brightness
or scanner, that difference is the largest residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.detectors.reconstruction.cae import IMAGE_SCORES
from anomalens.errors import unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun


@dataclass(frozen=True)
class VaeGanSettings(LearnedSettings):
    """Parameters of the game."""

    latent: int = parameter(16, "numbers of the code at each place", limits=(1, 1024))
    depth: int = parameter(5, "halvings of the image", limits=(1, 7))
    width: int = parameter(16, "channels after the first halving", limits=(1, 256))
    prior: float = parameter(0.1, "weight of the KL", limits=(0, 1e3))
    adversarial: float = parameter(0.002, "weight of passing for real", limits=(0, 1e3))
    image_score: str = parameter("mean", "mean of the errors, or max of the smoothed map")
    sigma: float = parameter(2.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class VaeGan(LearnedDetector):
    """Absolute residual of a reconstruction that was trained to pass for real."""

    name: ClassVar[str] = "vae-gan"
    family: ClassVar[str] = "reconstruction"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("reconstruction error",)
    settings_type: ClassVar[type[Settings]] = VaeGanSettings
    settings: VaeGanSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        if self.settings.image_score not in IMAGE_SCORES:
            raise unknown_name("image score", self.settings.image_score, IMAGE_SCORES)

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.reconstruction import ReconstructionScorer
        from anomalens.training.run import Trained
        from anomalens.training.vae_gan import VaeGanGame, vae_gan_learner
        from anomalens.training.variational import MeanCodes, idle_note

        s = self.settings
        game = VaeGanGame(run.size, latent=s.latent, depth=s.depth, width=s.width)
        run.train(vae_gan_learner(game, prior=s.prior, adversarial=s.adversarial))
        scorer = ReconstructionScorer(
            game.autoencoder, run.size, error="l1", sigma=s.sigma, image_score=s.image_score
        )
        return Trained(scorer, idle_note(run.validation_values(MeanCodes(game.autoencoder))))

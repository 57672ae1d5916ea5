"""f-AnoGAN (Schlegl et al. 2019, Medical Image Analysis 54): what a generator of normal images cannot draw.

What it does. First a generator G learns to draw normal images from random codes, judged by a critic D
(Wasserstein loss with gradient penalty, Gulrajani et al. 2017). Then both are frozen and an encoder E learns
the code of each image, so that no search is needed at scoring (AnoGAN, Schlegl et al. 2017, made hundreds of
gradient steps for each image). Its loss ("izi_f") is also the score:

    s(x) = mean (x − G(E(x)))² + κ · mean (f(x) − f(G(E(x))))²,   map(x) = |x − G(E(x))|

with f the last features of D and images scaled to −1–1; both means are parts of the score in reports.

Which weights. A critic's loss says nothing of how well G draws. The epoch kept is that in which held-out
images have the lowest energy score against 64 drawn ones (Gneiting & Raftery 2007), which neither wrong nor
equal pictures lower; a note says so where G draws nearly one picture. The paper takes the last step of a
fixed number. Networks here are strided convolutions, the paper's are residual; both normalise D by image.

When it fails. Whatever G cannot draw looks anomalous, rare normal parts too: with few images (60, say) or few
steps that is most of the image. Its length is counted in the generator's steps, so that a small set is not
trained less; it is the longest training of all detectors here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun


@dataclass(frozen=True)
class FAnoGanSettings(LearnedSettings):
    """Parameters of the game and of the encoder; `epochs` and `patience` are the encoder's."""

    gan_steps: int = parameter(500, "steps of the generator", limits=(1, 10**7))
    gan_learning_rate: float = parameter(5e-4, "size of their steps", limits=(1e-7, 1.0))
    critic_steps: int = parameter(3, "steps of the critic for one of the generator", limits=(1, 100))
    penalty: float = parameter(10.0, "weight of the gradient penalty", limits=(0, 1e4))
    kappa: float = parameter(1.0, "weight of the features' residual", limits=(0, 1e4))
    latent: int = parameter(64, "numbers of the code", limits=(1, 4096))
    depth: int = parameter(4, "halvings of the image", limits=(1, 7))
    width: int = parameter(16, "channels after the first halving", limits=(1, 256))
    sigma: float = parameter(2.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class FAnoGan(LearnedDetector):
    """Residuals of image and critic's features between an image and what the generator makes of it."""

    name: ClassVar[str] = "f-anogan"
    family: ClassVar[str] = "reconstruction"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("image residual", "feature residual")
    summed = True
    settings_type: ClassVar[type[Settings]] = FAnoGanSettings
    settings: FAnoGanSettings

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.adversarial import collapse_note
        from anomalens.training.f_anogan import (
            FAnoGanGame,
            ResidualScorer,
            drawing_learner,
            drawn_pictures,
            encoding_learner,
            epochs_of,
        )
        from anomalens.training.run import Trained

        s = self.settings
        game = FAnoGanGame(run.size, latent=s.latent, depth=s.depth, width=s.width)
        epochs = epochs_of(s.gan_steps, len(run.split.train), s.batch_size, every=s.critic_steps)
        # no validation loss tells when a game is over: it is played to the end, and the best epoch kept
        drawing = replace(run.plan, epochs=epochs, learning_rate=s.gan_learning_rate, patience=0)
        run.train(
            drawing_learner(game, critic_steps=s.critic_steps, penalty=s.penalty), stage="gan", plan=drawing
        )
        some = run.images.tensor(run.split.validation[:256])
        notes = collapse_note(drawn_pictures(game, seed=run.job.seed), some)
        run.train(encoding_learner(game, kappa=s.kappa), stage="encoder")
        return Trained(ResidualScorer(game, run.size, kappa=s.kappa, sigma=s.sigma), notes)

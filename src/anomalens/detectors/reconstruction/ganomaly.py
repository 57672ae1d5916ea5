"""GANomaly (Akçay et al. 2018, arXiv:1805.06725): how far an image's code is from its reconstruction's.

What it does. An autoencoder G gives the image back, x̂ = G(x), with the code z = G_E(x); a second encoder E
gives the code of the reconstruction, ẑ = E(x̂); a discriminator with features f learns to tell x̂ from x.
Together they lower

    L = w_adv · mean (f(x) − f(x̂))² + w_con · mean |x − x̂| + w_enc · mean (z − ẑ)²

with the paper's weights 1, 50 and 1. Both encoders have seen normal images only, so the codes of anything
else disagree:

    s(x) = mean |z − ẑ|

Norms. The paper's score is the L1 norm of that difference (eq. 5), its code takes the mean square:
`norm=l2` does so. Here L1 is a mean over the code and not a sum, which ranks the same. The paper scales the
scores of a test set to 0–1 by their smallest and largest; here an image's score never depends on
others, and what is usual is the calibration's business.

Which weights. Those with the lowest reconstruction error of held-out images. The difference of codes cannot
choose: it is least where all codes are equal, of which a note warns. (The paper's code keeps the epoch with
the best test AUROC, which needs labels.)

When it fails. There is no map. Anomalies that both encoders overlook (small ones) cost nothing. What G
cannot be expected to give back (fine texture) adds noise to ẑ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.errors import unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

NORMS: Final = ("l1", "l2")


@dataclass(frozen=True)
class GanomalySettings(LearnedSettings):
    """Parameters of the game."""

    latent: int = parameter(100, "numbers of the code", limits=(1, 4096))
    depth: int = parameter(4, "halvings of the image", limits=(1, 7))
    width: int = parameter(16, "channels after the first halving", limits=(1, 256))
    adversarial: float = parameter(1.0, "weight of the discriminator's features", limits=(0, 1e4))
    contextual: float = parameter(50.0, "weight of the reconstruction error", limits=(0, 1e4))
    encoder: float = parameter(1.0, "weight of the difference of codes", limits=(0, 1e4))
    norm: str = parameter("l1", "of that difference as a score: l1 (the paper) or l2 (its code)")


class Ganomaly(LearnedDetector):
    """Difference between the code of an image and the code of its reconstruction."""

    name: ClassVar[str] = "ganomaly"
    family: ClassVar[str] = "reconstruction"
    pixel_level: ClassVar[bool] = False
    components: ClassVar[tuple[str, ...]] = ("difference of codes",)
    settings_type: ClassVar[type[Settings]] = GanomalySettings
    settings: GanomalySettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        if self.settings.norm not in NORMS:
            raise unknown_name("norm", self.settings.norm, NORMS)

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.ganomaly import (
            CodeDifference,
            GanomalyGame,
            equal_codes_note,
            ganomaly_learner,
        )
        from anomalens.training.run import Trained

        s = self.settings
        game = GanomalyGame(run.size, latent=s.latent, depth=s.depth, width=s.width)
        run.train(
            ganomaly_learner(game, adversarial=s.adversarial, contextual=s.contextual, encoder=s.encoder)
        )
        return Trained(
            CodeDifference(game, norm=s.norm),
            equal_codes_note(run.validation_values(game.autoencoder.encoder)),
        )

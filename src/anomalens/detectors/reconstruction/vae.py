"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114; as a detector An & Cho 2015).

What it does. An encoder gives each image x a Gaussian of codes, q(z | x) = N(μ(x), diag σ²(x)); a decoder
gives each code a distribution of images. Both are trained to raise a lower bound of the log-likelihood of
normal images:

    log p(x) ≥ E_q[log p(x | z)] − KL(q(z | x) ‖ N(0, I))

Its two terms, with their signs turned and in nats per number of the image, are the parts of the score: the
reconstruction probability of An & Cho (as minus its logarithm) and the KL. The score is their sum, −log p(x)
up to the bound's slack, so this is also the deep density model here. The KL has few of the nats;
`joint=larger` takes the larger of the two, each on its tail scale, which helps where odd images have odd
codes (digits) and costs where they have not (cells). The map is −log p(x_i | z) of each pixel.

Observation model. Numbers of the image (0–1, three a pixel) are Gaussian and independent given the code. The
decoder gives each its centre and its deviation, from `floor` to 1, so that an edge that always varies is
forgiven; a deviation below `floor` would make any speck on a constant background infinitely surprising.
Laplace and Bernoulli (usual for digits, though no density of greys) ranked digits worse.

In training. As for `cae`, batches are small and images are changed a little in every epoch: of a hundred
images it learns too few steps otherwise (benchmarks/few_images.md).

At scoring. −log p(x | z) at the mean code, so that nothing is random. `samples` averages it over codes drawn
with noise that is a constant of the graph instead (An & Cho draw anew for each image).

When it fails. A density is no measure of typicality: an image simpler than all normal ones can be likelier
than they are (Nalisnick et al. 2019, arXiv:1810.09136). Small faults drown in the mean over all pixels:
`image_score=max` takes the largest value of the smoothed map instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.detectors.reconstruction.cae import IMAGE_SCORES, MILD, SMALL_BATCH
from anomalens.errors import unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

JOINTS: Final = ("sum", "larger")


@dataclass(frozen=True)
class VaeSettings(LearnedSettings):
    """Parameters of the variational autoencoder."""

    batch_size: int = parameter(SMALL_BATCH, "images per step", limits=(2, 4096))
    augment: str = parameter(MILD, "changes drawn anew in every epoch; empty for none")
    latent: int = parameter(32, "numbers of the code", limits=(1, 4096))
    depth: int = parameter(4, "halvings of the image", limits=(1, 7))
    width: int = parameter(16, "channels after the first halving", limits=(1, 256))
    floor: float = parameter(0.1, "smallest deviation of a pixel, of 0–1", limits=(1e-3, 0.5))
    beta: float = parameter(1.0, "weight of the KL while training; 1 bounds the likelihood", limits=(0, 1e3))
    samples: int = parameter(0, "codes that are drawn at scoring; 0: the mean code", limits=(0, 64))
    image_score: str = parameter("mean", "of the reconstruction: mean of the map, or max when smoothed")
    joint: str = parameter("sum", "of reconstruction and KL: sum, the bound, or larger, by rank")
    sigma: float = parameter(2.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class Vae(LearnedDetector):
    """Minus both parts of the evidence lower bound, and −log p of each pixel."""

    name: ClassVar[str] = "vae"
    family: ClassVar[str] = "reconstruction"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("reconstruction probability", "KL")
    settings_type: ClassVar[type[Settings]] = VaeSettings
    settings: VaeSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        for kind, value, known in (
            ("image score", self.settings.image_score, IMAGE_SCORES),
            ("joint score", self.settings.joint, JOINTS),
        ):
            if value not in known:
                raise unknown_name(kind, value, known)
        self.summed = self.settings.joint == "sum"

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.run import Trained
        from anomalens.training.variational import (
            MeanCodes,
            SurpriseScorer,
            VariationalAutoencoder,
            idle_note,
            variational_learner,
        )

        s = self.settings
        network = VariationalAutoencoder(
            run.size, latent=s.latent, depth=s.depth, width=s.width, floor=s.floor
        )
        run.train(variational_learner(network, beta=s.beta))
        means = run.validation_values(MeanCodes(network))
        scorer = SurpriseScorer(
            network, run.size, samples=s.samples, seed=run.job.seed, sigma=s.sigma, image_score=s.image_score
        )
        return Trained(scorer, idle_note(means))

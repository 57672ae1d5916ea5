"""SimpleNet (Liu et al. 2023, "SimpleNet: A Simple Network for Image Anomaly Detection and Localization",
CVPR, arXiv:2303.15140).

What it does. Features of the backbone's middle layers, averaged over a small neighbourhood as PatchCore's,
are scaled to deviation 1. Anomalies are made from them by adding Gaussian noise, and a discriminator D of two
layers learns to tell the two apart (equations 5 to 7):

    q⁻ = q + ε,   ε ~ N(0, σ²),   loss = max(0, ½ + s(q)) + max(0, ½ − s(q⁻)),   s = −D

The score s of each position is enlarged and smoothed; the image's score is the mean of the highest hundredth
of the map (`top_share`). Nothing is searched: the cost of an image does not depend on the number of normal
images.

What differs from the paper. There is no linear adaptor before the noise. It flattens the features in some
directions, noise alone shows there, the loss falls to nothing, and the discriminator need not learn what
normal features are. Channels have deviation 1 instead, and σ (`noise`) is a share of that. Weights are chosen
by the loss on left-out normal images, where the paper keeps the epoch with the best test score.

When it fails. The boundary is drawn where noise is, near the normal features and in every direction alike: an
anomaly that leaves them in a direction in which they vary much stays inside. Positions are not known.

Memory. While fitting, images as bytes and maps of the taps as float16: 197 kB and 140 kB an image at 256 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.frozen import FrozenDetector, FrozenSettings
from anomalens.errors import SettingError

if TYPE_CHECKING:
    from anomalens.training.features import HeldFeatures
    from anomalens.training.run import Trained, TrainingRun


@dataclass(frozen=True)
class SimpleNetSettings(FrozenSettings):
    """Parameters of SimpleNet."""

    epochs: int = parameter(40, "passes over the training images, at most", limits=(1, 10**5))
    batch_size: int = parameter(8, "images per step", limits=(2, 4096))
    weight_decay: float = parameter(1e-5, "decay of the weights", limits=(0.0, 1.0))
    noise: float = parameter(0.3, "σ of the noise, in deviations of the features", limits=(1e-4, 10.0))
    hidden: int = parameter(128, "numbers within the discriminator", limits=(1, 8192))
    neighbourhood: int = parameter(
        3, "side of the window that features are averaged over, in patches", limits=(1, 15)
    )
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class SimpleNet(FrozenDetector):
    """A discriminator between normal features and noised ones (Liu et al. 2023)."""

    name: ClassVar[str] = "simplenet"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("discriminator score",)
    settings_type: ClassVar[type[Settings]] = SimpleNetSettings
    settings: SimpleNetSettings

    def learn_features(self, run: TrainingRun, held: HeldFeatures) -> Trained:
        from anomalens.training.embedding import Embedding
        from anomalens.training.run import Trained
        from anomalens.training.simplenet import DiscriminatorScorer, SimpleNetwork, discriminator_learner

        s = self.settings
        if s.neighbourhood % 2 == 0:
            raise SettingError(
                f"The neighbourhood must be an odd number of positions, not {s.neighbourhood}: 3 is usual."
            )
        embedding = Embedding(held.features, run.split.train, neighbourhood=s.neighbourhood)
        network = SimpleNetwork(embedding, s.hidden)
        run.train(discriminator_learner(network, noise=s.noise))
        return Trained(DiscriminatorScorer(network, run.size, sigma=s.sigma, top_share=s.top_share))

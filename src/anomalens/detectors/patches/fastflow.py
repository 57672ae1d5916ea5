"""FastFlow (Yu et al. 2021, "FastFlow: Unsupervised Anomaly Detection and Localization via 2D Normalizing
Flows", arXiv:2111.07677).

What it does. For each of the backbone's taps an invertible network f of affine couplings turns the feature
map into one that follows a standard normal density; convolutions inside the couplings see the neighbours of
a position. What is unlikely is anomalous:

    map_t(p) = −log p(x_t)(p) = ½ |f(x)(p)|² − Σ log |∂f(x)/∂x| at p + const,   map = mean over taps t

in nats per channel, enlarged bilinearly and smoothed; the image's score is the mean of the highest
hundredth of the map (`top_share`).

What differs from the paper. The backbone is the packaged one. Channels are scaled by their own mean and
deviation, where the paper learns a normalisation. The paper's public implementations leave the determinant
out of the map; here it is in, so that the map is the density that was trained.

When it fails. A flow learns the statistics of neighbouring features before their meaning: smooth, simple
anomalies can be likelier than normal texture. With few images it learns them by heart; validation stops it.

Memory. While fitting, images as bytes and maps of the taps as float16: 197 kB and 140 kB an image at 256 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.frozen import FrozenDetector, FrozenSettings

if TYPE_CHECKING:
    from anomalens.training.features import HeldFeatures
    from anomalens.training.run import Trained, TrainingRun


@dataclass(frozen=True)
class FastFlowSettings(FrozenSettings):
    """Parameters of FastFlow."""

    epochs: int = parameter(40, "passes over the training images, at most", limits=(1, 10**5))
    patience: int = parameter(
        8, "epochs without a lower validation loss before training stops; 0 never stops", limits=(0, 10**5)
    )
    batch_size: int = parameter(4, "images per step", limits=(2, 4096))
    learning_rate: float = parameter(2e-3, "size of the steps", limits=(1e-7, 10.0))
    weight_decay: float = parameter(1e-5, "decay of the weights", limits=(0.0, 1.0))
    steps: int = parameter(8, "couplings of each flow", limits=(1, 64))
    hidden: float = parameter(
        1.0, "channels within a coupling, as a share of those that enter", limits=(0.01, 8.0)
    )
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class FastFlow(FrozenDetector):
    """Density of feature maps under normalising flows (Yu et al. 2021)."""

    name: ClassVar[str] = "fastflow"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("negative log density",)
    settings_type: ClassVar[type[Settings]] = FastFlowSettings
    settings: FastFlowSettings

    def learn_features(self, run: TrainingRun, held: HeldFeatures) -> Trained:
        from anomalens.training.fastflow import FlowScorer, MapFlows, flow_learner
        from anomalens.training.run import Trained

        s = self.settings
        flows = MapFlows(held, run.split.train, steps=s.steps, hidden=s.hidden)
        run.train(flow_learner(flows))
        grids = [(values.shape[2], values.shape[3]) for values in held.features]
        return Trained(FlowScorer(flows, grids, run.size, sigma=s.sigma, top_share=s.top_share))

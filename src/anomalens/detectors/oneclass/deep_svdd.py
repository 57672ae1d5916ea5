"""Deep SVDD (Ruff et al. 2018, "Deep One-Class Classification", ICML).

What it does. A network φ is trained to bring the codes of normal images together at a fixed centre c:

    one-class:      min over W of   mean of |φ(x; W) − c|²
    soft-boundary:  min over W, R²  R² + 1/ν · mean of max(0, |φ(x; W) − c|² − R²)

    s(x) = |φ(x; W) − c|²

As in the paper: images are normalised to one contrast (mean 0, mean absolute value 1) and to the span of the
normal images; the network is LeNet's kind (5×5 convolutions, leaky ReLU, halvings, one linear layer) without
biases and offsets; an autoencoder on top of it is trained first; c is the mean code after that, no coordinate
of it nearer to 0 than 0.1; R² is the (1 − ν) quantile of the distances, set anew after each epoch beyond the
tenth.

Where ours differs: images above 64 px are shrunk to that (the paper's have 32); batches are small and images
are changed a little in every epoch (benchmarks/few_images.md); the epochs are counted for a few hundred to a
few thousand images (the paper has 6,000 and 150 + 150), the learning rate falls along a cosine, weights of
the epoch with the lowest validation loss are kept, and `members` networks from different starts are averaged,
each distance over its own mean on validation images.

Collapse. A network that answers c to everything has no loss and sees nothing. Weights whose codes of normal
images and of their inverses spread a thousandth of what they did after pretraining are never kept, training
stops after `patience` such epochs, and a note says so. Where no epoch is without collapse, the networks
score as pretraining left them.

When it fails. One centre suits one kind of image: where normal has several looks, the codes of all of them
and of what lies between are drawn to one place. The contrast normalisation hides faults of brightness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector, LearnedSettings
from anomalens.detectors.reconstruction.cae import MILD, SMALL_BATCH
from anomalens.errors import unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

OBJECTIVES: Final = ("one-class", "soft-boundary")


@dataclass(frozen=True)
class DeepSvddSettings(LearnedSettings):
    """Parameters of Deep SVDD."""

    batch_size: int = parameter(SMALL_BATCH, "images per step", limits=(2, 4096))
    augment: str = parameter(MILD, "changes drawn anew in every epoch; empty for none")
    side: int = parameter(64, "larger images are shrunk to so many pixels a side; 0: never", limits=(0, 4096))
    epochs: int = parameter(50, "passes over the training images, at most", limits=(1, 10**5))
    objective: str = parameter("one-class", "one-class, or soft-boundary: some images may lie outside")
    nu: float = parameter(0.1, "share of images outside (soft-boundary)", limits=(0.001, 1.0))
    latent: int = parameter(32, "numbers of the code", limits=(1, 4096))
    depth: int = parameter(0, "halvings of the image; 0: down to 4 pixels or just above", limits=(0, 8))
    width: int = parameter(8, "channels after the first halving", limits=(1, 256))
    pretraining: int = parameter(50, "epochs as an autoencoder, at most; 0: none", limits=(0, 10**5))
    members: int = parameter(4, "networks whose distances are averaged", limits=(1, 20))
    contrast: bool = parameter(True, "normalise every image to one contrast")


class DeepSvdd(LearnedDetector):
    """Squared distance of an image's code to the centre."""

    name: ClassVar[str] = "deep-svdd"
    family: ClassVar[str] = "one-class"
    pixel_level: ClassVar[bool] = False
    components: ClassVar[tuple[str, ...]] = ("squared distance",)
    settings_type: ClassVar[type[Settings]] = DeepSvddSettings
    settings: DeepSvddSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        if self.settings.objective not in OBJECTIVES:
            raise unknown_name("objective", self.settings.objective, OBJECTIVES)

    def learn(self, run: TrainingRun) -> Trained:
        import torch

        from anomalens.training.run import Trained
        from anomalens.training.svdd import Gathering, GlobalContrast, Svdd, SvddScorer, collapsed_epochs
        from anomalens.training.views import Square

        s = self.settings
        rows = run.split.train
        size = run.size
        shrink: torch.nn.Module = torch.nn.Identity()
        if s.side and max(size) > s.side:
            size, shrink = (s.side, s.side), Square(size, s.side)
        contrast = GlobalContrast(run.images, rows, shrink) if s.contrast else torch.nn.Identity()
        network = Svdd(
            size,
            members=s.members,
            latent=s.latent,
            depth=s.depth,
            width=s.width,
            contrast=torch.nn.Sequential(shrink, contrast),
        )
        if s.pretraining:
            plan = replace(run.plan, epochs=s.pretraining)
            run.train(network.pretraining(), stage="pretraining", plan=plan)
        network.place_centres(run.images, rows)
        gathering = Gathering(network, run.images, rows, nu=s.nu if s.objective == "soft-boundary" else 0.0)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        history = run.train(gathering.learner())
        collapsed = collapsed_epochs(history.curves["validation loss"])
        if collapsed == history.epochs:  # the least bad of them is no better than the others
            network.load_state_dict(before)
        scales = torch.ones(1)
        if s.members > 1:
            scales = run.validation_values(network).mean(0).clamp_min(1e-12)
        notes: tuple[str, ...] = ()
        if collapsed:
            every = collapsed == history.epochs
            used = "it scores as it was before them" if every else "their weights are not used"
            notes = (
                f"after {collapsed} epochs{', which are all,' if every else ''} the network answered nearly "
                f"the same to every image; {used}. Fewer epochs or a lower learning rate avoid it",
            )
        return Trained(SvddScorer(network, scales), notes)

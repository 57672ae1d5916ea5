"""Student and teacher, after EfficientAD (Batzner et al. 2024, "EfficientAD: Accurate Visual Anomaly
Detection at Millisecond-Level Latencies", WACV, arXiv:2303.14535).

What it does. A small convolutional student learns, on normal images only, to predict features T of a frozen
teacher; where it is wrong, the image is strange. An autoencoder A predicts the same features through a narrow
code, and the student's second half S′ learns to imitate it; where these two differ, something is wrong that
only the whole image shows (the paper's equations 1 to 5):

    local(p) = mean_c (T − S)²,   global(p) = mean_c (A − S′)²,   map = ½ Σ 0.1 · (m − q₀.₉) / (q₀.₉₉₅ − q₀.₉)

with the quantiles q of each map over validation images. The student is trained by the largest differences
of a batch, so that easy patches do not drown the others. The image's score is the mean of the highest
hundredth of the map (`top_share`).

What differs from the paper. It is a variant. The teacher is the packaged backbone (taps at 1/8 and 1/16, each
channel at deviation 1) and not a patch network distilled for the purpose. Student and autoencoder see the
backbone's own early features (`source`, at 1/4) and not pixels, which found and located the transistor's
faults as well as a student of pixels and took a quarter of the time to train. The penalty on ImageNet
pictures is left out: there are none here.

When it fails. What the early features do not show cannot be predicted wrongly. A student that has learnt too
little is wrong everywhere, and one trained too well on few images predicts anomalies too.

Memory. While fitting, images as bytes and maps of three taps as float16: 197 and 336 kB an image at 256 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.frozen import FrozenDetector, FrozenSettings
from anomalens.errors import SettingError

if TYPE_CHECKING:
    from anomalens.backbones.card import BackboneCard
    from anomalens.training.features import HeldFeatures
    from anomalens.training.run import Trained, TrainingRun


@dataclass(frozen=True)
class StudentTeacherSettings(FrozenSettings):
    """Parameters of student and teacher."""

    epochs: int = parameter(40, "passes over the training images, at most", limits=(1, 10**5))
    batch_size: int = parameter(4, "images per step", limits=(2, 4096))
    learning_rate: float = parameter(2e-3, "size of the steps", limits=(1e-7, 10.0))
    weight_decay: float = parameter(1e-5, "decay of the weights", limits=(0.0, 1.0))
    source: str = parameter("", "layer that student and autoencoder see; default: the one at 1/4")
    width: int = parameter(64, "channels of the student; the autoencoder has half as many", limits=(2, 512))
    latent: int = parameter(64, "numbers of the autoencoder's code", limits=(1, 4096))
    hard: float = parameter(
        0.1, "share of the differences, the largest ones, that train the student", limits=(1e-5, 1.0)
    )
    sigma: float = parameter(4.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class StudentTeacher(FrozenDetector):
    """Where a student fails to predict the backbone's features (after Batzner et al. 2024)."""

    name: ClassVar[str] = "student-teacher"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("difference",)
    settings_type: ClassVar[type[Settings]] = StudentTeacherSettings
    settings: StudentTeacherSettings

    def used_taps(self, card: BackboneCard) -> tuple[str, ...]:
        names = tuple(tap.name for tap in card.taps)
        source = self.settings.source or ("stride4" if "stride4" in names else names[0])
        taught = tuple(tap for tap in super().used_taps(card) if tap != source)
        if not taught:
            raise SettingError(
                f"The layer {source!r} cannot be both seen and predicted; choose another source."
            )
        return (source, *taught)

    def learn_features(self, run: TrainingRun, held: HeldFeatures) -> Trained:
        from anomalens.training.run import Trained
        from anomalens.training.student_teacher import DifferenceScorer, StudentTeacher, student_learner

        s = self.settings
        network = StudentTeacher(held, run.split.train, width=s.width, latent=s.latent)
        run.train(student_learner(network, hard=s.hard))
        scorer = DifferenceScorer(network, run.size, sigma=s.sigma, top_share=s.top_share)
        scorer.learn_limits(held, run.split.validation)
        return Trained(scorer)

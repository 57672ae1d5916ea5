"""Base of the detectors that learn a network: train → graph → held-out scores.

The normal images are split by whole groups: most train, some validate (they decide when to stop and which
weights are kept), and some are held out and calibrate: the network that was calibrated is the one that is
used. `calibrate_by=folds` trains five more networks instead, so that every image calibrates; it takes six
times as long and asks for fewer images.

After training, whatever gives the score is one ONNX graph: image → components of the score [k], and a map
where the method has one. `fit` fails where graph and torch module differ on real normal images by more than
rounding explains (`training/export.py`). With several components the score is their sum where they have one
unit (`summed`), else the largest of them, each on a tail scale (`calibration.tail_scale`) learnt from the
validation images, so that one threshold is a threshold on each. Of fewer than sixteen validation images the
training images join them: they score a little lower, but two scores set no scale. With folds a single
component is put on its network's scale too, because distances of one network say nothing of another's.

Memory. Images are held as bytes up to 1 GB, beyond it in a temporary file (`training/images.py`); the network
sees one batch at a time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Part,
    Reasons,
    Scores,
    Settings,
    State,
    TrainingImages,
    parameter,
)
from anomalens.detectors.network import LARGEST, FeatureNetwork
from anomalens.errors import BackboneError, ModelFileError, SettingError, unknown_name
from anomalens.images.arrays import Pixels
from anomalens.images.augment import Augmentation
from anomalens.job import Job
from anomalens.progress import Progress
from anomalens.training import require_torch
from anomalens.training.plan import OPTIMISERS, SCHEDULES, Plan

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

Chosen = TypeVar("Chosen", bound="LearnedSettings")
CALIBRATIONS: Final = ("held-out", "folds")
MIN_SCALE_IMAGES: Final = 16
_GRAPH: Final = "network"


@dataclass(frozen=True)
class LearnedSettings(Settings):
    """Parameters of the training, the same for every learned detector."""

    epochs: int = parameter(100, "passes over the training images, at most", limits=(1, 10**5))
    batch_size: int = parameter(32, "images per step", limits=(2, 4096))
    learning_rate: float = parameter(1e-3, "size of the steps", limits=(1e-7, 10.0))
    optimiser: str = parameter("adam", "adam, adadelta or sgd")
    weight_decay: float = parameter(0.0, "decay of the weights", limits=(0.0, 1.0))
    schedule: str = parameter("cosine", "of the learning rate: cosine (falls to a hundredth) or constant")
    patience: int = parameter(
        20, "epochs without a lower validation loss before training stops; 0 never stops", limits=(0, 10**5)
    )
    augment: str = parameter("", "changes drawn anew in every epoch, such as flip=both,rotate=15")
    validation: float = parameter(0.15, "share of the images that validate", limits=(0.01, 0.5))
    held_out: float = parameter(0.2, "share of the images that calibrate", limits=(0.05, 0.5))
    calibrate_by: str = parameter(
        "held-out", "held-out: by images kept from training; folds: by all, with five more trainings"
    )
    bfloat16: bool = parameter(False, "train with products in bfloat16: faster where the processor has it")
    device: str = parameter("auto", "auto (a GPU if torch has one), cpu, cuda")

    def plan(self) -> Plan:
        """How to train.

        Raises
        ------
        SettingError
            An unknown word.
        """
        for kind, value, known in (
            ("optimiser", self.optimiser, OPTIMISERS),
            ("schedule", self.schedule, SCHEDULES),
            ("calibration", self.calibrate_by, CALIBRATIONS),
        ):
            if value not in known:
                raise unknown_name(kind, value, known)
        return Plan(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimiser=self.optimiser,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            patience=self.patience,
            augmentation=Augmentation.parse(self.augment) if self.augment else None,
            bfloat16=self.bfloat16,
            device=self.device,
        )


class LearnedDetector(Detector):
    """A network trained on normal images.

    Class attributes
    ----------------
    components : names of what the score is made of, as the graph gives them
    summed : whether several components have one unit and their sum is the score; an instance may choose
    """

    holds_out: ClassVar[bool] = True
    from_scratch: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("score",)
    summed: bool = False
    settings: LearnedSettings

    _network: FeatureNetwork
    _scales: tuple[TailScale, ...] = ()  # one per component where there are several
    _curves: Mapping[str, Sequence[float]]
    _notes: tuple[str, ...] = ()

    @abstractmethod
    def learn(self, run: TrainingRun) -> Trained:
        """Train on `run` and give the module that scores.

        It takes float32 [1, 3, h, w], 0–1, and gives the components [1, k] and, for a pixel-level detector,
        a map [1, h, w]. Torch is imported here.
        """

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        if not len(images):
            raise SettingError(f"{self.name} needs at least one normal image to fit and was given none.")
        require_torch(f"The detector {self.name!r}")
        from anomalens.training.run import TrainingRun, repeatable

        plan = self.settings.plan()
        folds = self.settings.calibrate_by == "folds"
        with repeatable(job.seed):
            run = TrainingRun.prepare(
                images,
                plan,
                name=self.name,
                decided_by=self.settings.to_plain(),
                validation=self.settings.validation,
                held_out=0.0 if folds else self.settings.held_out,
                job=job,
            )
            trained = self.learn(run)
            self._network = self._deployed(run, trained)
        self._curves, self._notes = run.curves, (*run.notes, *trained.notes)
        # several parts need one scale, and so do the networks of several folds
        if not self.summed and (folds or len(self.components) > 1):
            split = run.split
            rows = split.validation
            if len(rows) < MIN_SCALE_IMAGES:
                rows = np.union1d(rows, split.train)
            self._scales = self._learnt_scales(run.images.pixels, rows)
        if folds:
            return None
        return self._held_out_scores(run.images.pixels, run.split.held_out, job.progress)

    def score(self, batch: Batch) -> Scores:
        parts, maps = [], []
        for image in batch.images:
            components, *of_pixels = self._answer(image)
            parts.append(components)
            maps += of_pixels
        values = np.array(parts, np.float64).reshape(len(batch), len(self.components))
        return Scores(
            self._joint(values),
            np.stack(maps) if maps else None,
            {name: values[:, k] for k, name in enumerate(self.components)},
            (lambda i: self._reasons(parts[i])) if len(self.components) > 1 else None,
        )

    def _reasons(self, values: NDArray[np.float32]) -> Reasons:
        """What each component gives, on the common scale or in its unit."""
        if self._scales:
            given = [scale(value) for scale, value in zip(self._scales, values, strict=True)]
        else:
            given = list(values)
        parts = [Part(name, float(value)) for name, value in zip(self.components, given, strict=True)]
        return Reasons(parts=tuple(sorted(parts, key=lambda part: -part.contribution)))

    def part_thresholds(self, threshold: float) -> Mapping[str, float]:
        scales = zip(self.components, self._scales, strict=False)  # one component may have no scale
        return {name: scale.inverse(threshold) for name, scale in scales}

    def state(self) -> State:
        return State(
            numbers={
                **self._network.numbers(),
                "scales": [scale.to_json() for scale in self._scales],
                "curves": {name: list(values) for name, values in self._curves.items()},
            },
            graphs={_GRAPH: self._network.graph},
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        detector = cls()
        detector._network = FeatureNetwork.from_numbers(n, state.graphs[_GRAPH], size=size, runtime=runtime)
        detector._scales = tuple(TailScale.from_json(scale) for scale in n["scales"])
        if len(detector._scales) not in (0, len(cls.components)):
            raise ValueError(f"{len(detector._scales)} scales for {len(cls.components)} components")
        if not detector._scales and len(cls.components) > 1 and not detector.summed:
            raise ValueError("components of several units without scales")
        detector._curves = {
            str(name): [float(value) for value in values] for name, values in n["curves"].items()
        }
        return detector

    @property
    def curves(self) -> Mapping[str, Sequence[float]]:
        return self._curves

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    def _deployed(self, run: TrainingRun, trained: Trained) -> FeatureNetwork:
        """What scores from now on, agreed with the trained module on real images."""
        return FeatureNetwork(
            run.exported(trained.module, self._outputs()),
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
            size=run.size,
            runtime=run.job.runtime,
            backbone={"name": self.name, "trained": "here", "epochs": run.epochs},
        )

    def _outputs(self) -> tuple[str, ...]:
        return ("components", "map") if self.pixel_level else ("components",)

    def _joint(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """One score [n] of components [n, k]."""
        if not self._scales:
            total = values[:, 0].copy()
            for k in range(1, values.shape[1]):  # a sum along an axis may round by the number of images
                total += values[:, k]
            return total
        placed = [scale(values[:, k]) for k, scale in enumerate(self._scales)]
        joint: NDArray[np.float64] = np.max(placed, axis=0)
        return joint

    def _answer(self, image: Pixels) -> list[NDArray[np.float32]]:
        """Components [k] and, of a pixel-level detector, the map [h, w]: numbers, all of them."""
        given = self._network(image)
        wanted = [(len(self.components),), *([image.shape[:2]] if self.pixel_level else [])]
        if [values.shape for values in given] != wanted:
            raise ModelFileError(
                f"The model's network gives {[list(values.shape) for values in given]} where {self.name} "
                f"needs {[list(shape) for shape in wanted]}; fit the model again."
            )
        if not all(np.abs(values).max() < LARGEST for values in given):
            raise BackboneError(
                "The network gave a map of values that are no numbers or too large; fit it again with a "
                "lower learning_rate or another precision."
            )
        return given

    def _learnt_scales(self, pixels: NDArray[Any], rows: NDArray[np.int64]) -> tuple[TailScale, ...]:
        values = np.array([self._answer(pixels[row])[0] for row in rows], np.float64)
        if len(values) == 1:  # nothing varies: any increasing scale will do
            values = np.concatenate([values, values + 1e-6])
        return tuple(TailScale.fit(values[:, k]) for k in range(len(self.components)))

    def _held_out_scores(self, pixels: NDArray[Any], rows: NDArray[np.int64], progress: Progress) -> Scores:
        n = len(pixels)
        image = np.full(n, np.nan)
        parts = {name: np.full(n, np.nan) for name in self.components}
        maxima = np.full((n, 1, 1), np.nan, np.float32) if self.pixel_level else None
        for row in progress(rows, label="calibrating", total=len(rows)):
            answer = self.score(Batch([pixels[row]], [str(row)]))
            image[row] = answer.image[0]
            for name in self.components:
                parts[name][row] = answer.parts[name][0]
            if maxima is not None and answer.maps is not None:
                maxima[row] = answer.maps[0].max()
        return Scores(image, maxima, parts)


def with_defaults(settings: Chosen, values: Mapping[str, Any]) -> Chosen:
    """The settings with these values where they stand at their defaults, for presets."""
    blank = type(settings)()
    fresh = {key: value for key, value in values.items() if getattr(settings, key) == getattr(blank, key)}
    return replace(settings, **fresh)

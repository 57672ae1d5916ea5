"""Motion: faster than usual at this place of the picture.

What it does. Dense optical flow between a frame and the one some frames before it; |v| is the length of the
mean movement around each cell of 8 px. Perspective makes usual speeds a line over the rows of the picture
(`perspective.py`), and

    s = mean of the 15 largest  |v(y, x)| / usual(y)

is high where something is fast for where it is. Ramachandra & Jones, and many before them, score flow
against what was seen at a place; that the scale is a line over rows, weighted by traffic, is our own and
from no paper. On UCSD Ped2 it matters: scales of single rows, or of places, are too low where hardly
anybody walked.

An image's reference is the frame `gap` frames before it in its clip; folders of frames are paired by
themselves. A clip's first frame has no other and shows no motion.

When it fails. Moving cameras. What is strange but slow, or stands. Flicker and rain move. Frames of another
rate than those learnt from. A camera that looks straight down has a flat line, and that works too.

Memory while fitting: the speeds of at most 20,000 frames, 3 kB each at 360 x 240 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Reasons,
    Scores,
    Settings,
    State,
    TrainingImages,
    parameter,
    references_of,
)
from anomalens.detectors.folds import FOLDS, fold_of_groups
from anomalens.detectors.motion.flow import CELL, Flow
from anomalens.detectors.motion.perspective import STILL, usual_speeds
from anomalens.errors import ModelFileError, SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job

MOST_FRAMES: Final = 20_000


@dataclass(frozen=True)
class MotionSettings(Settings):
    """Parameters of the comparison with what is usual."""

    gap: int = parameter(3, "frames between the two that are compared", limits=(1, 100))
    cells: int = parameter(15, "how many of the strangest cells the score is the mean of", limits=(1, 10_000))


class Motion(Detector):
    """What moves faster than usual at its height in the picture."""

    name: ClassVar[str] = "motion"
    family: ClassVar[str] = "motion"
    pixel_level: ClassVar[bool] = True
    uses_references: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = MotionSettings
    settings: MotionSettings

    usual_: NDArray[np.float32]

    @property
    def earlier(self) -> int:
        return self.settings.gap

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        references = references_of(images)
        if references is None:
            raise SettingError(
                "The detector 'motion' compares each frame with an earlier one, and there is none; give a "
                "folder of frames or a video."
            )
        flow, found = Flow(), []
        steps = job.progress(zip(images, references, strict=True), label="motion", total=len(images))
        for now, before in steps:
            found.append(flow.speeds(before, now).astype(np.float16))
        speeds = np.array(found)
        groups = np.asarray(images.groups)
        self.usual_ = self._usual(speeds)
        folds = fold_of_groups(groups, FOLDS, job.seed)
        scores, maxima = np.full(len(groups), np.nan), np.full((len(groups), 1, 1), np.nan, np.float32)
        for fold in range(FOLDS):
            held = folds == fold
            if held.any() and not held.all():
                strange = speeds[held].astype(np.float32) / self._usual(speeds[~held])[:, None]
                scores[held] = self._scores(strange)
                maxima[held, 0, 0] = strange.max((1, 2))
        return Scores(scores, maxima)

    def _usual(self, speeds: NDArray[np.float16]) -> NDArray[np.float32]:
        step = -(-len(speeds) // MOST_FRAMES)
        return usual_speeds(speeds[::step].astype(np.float32), STILL * self.settings.gap)

    def _scores(self, strange: NDArray[np.float32]) -> NDArray[np.float64]:
        flat = strange.reshape(len(strange), -1).astype(np.float64)
        top = min(self.settings.cells, flat.shape[1])
        scores: NDArray[np.float64] = np.partition(flat, -top, axis=1)[:, -top:].mean(1)
        return scores

    def score(self, batch: Batch) -> Scores:
        if batch.references is None:
            raise SettingError("The detector 'motion' was given frames without earlier ones.")
        flow = Flow()
        pairs = zip(batch.images, batch.references, strict=True)
        strange = np.array([self._strange(flow, before, now) for now, before in pairs])
        maps = np.array(
            [flow.enlarged(one, now.shape[:2]) for one, now in zip(strange, batch.images, strict=True)]
        )
        return Scores(self._scores(strange), maps, explain=lambda i: Reasons(said=_words(strange[i])))

    def _strange(self, flow: Flow, before: Pixels, now: Pixels) -> NDArray[np.float32]:
        speeds = flow.speeds(before, now)
        if len(speeds) != len(self.usual_):
            raise SettingError(
                f"The model has learnt frames of {len(self.usual_) * CELL} rows and was given {len(now)}."
            )
        strange: NDArray[np.float32] = speeds / self.usual_[:, None]
        return strange

    def state(self) -> State:
        return State(self.settings.to_plain(), {"usual": self.usual_})

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        made = cls(MotionSettings.from_values(dict(state.numbers)))
        usual: NDArray[Any] | None = state.arrays.get("usual")
        if usual is None or usual.shape != (size[0] // CELL,) or not (usual > 0).all():
            raise ModelFileError("The model file holds no usual speeds for frames of its size; fit it again.")
        made.usual_ = usual.astype(np.float32)
        return made


def _words(strange: NDArray[np.float32]) -> str:
    row, column = np.unravel_index(int(strange.argmax()), strange.shape)
    times = float(strange[row, column])
    if times <= 1:
        return "nothing moves faster than usual"
    place = f"x {column * CELL}, y {row * CELL} of the prepared frame"
    return f"{times:.1f} times as fast as the fastest that is usual there ({place})"

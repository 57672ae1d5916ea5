"""What the checks of the contract share: images, and the detector fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.check_images import TexturedImages, painted
from anomalens.detectors.contract import Batch, Detector, Scores, Settings, State
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.threads import one_blas_thread

SIZE: Final = (64, 96)  # not square, so that swapped height and width show
N_TRAINING: Final = 12
N_FRESH: Final = 4


class BrokenRule(Exception):
    """A rule of the contract does not hold."""


def require(condition: object, problem: str) -> None:
    """Raise BrokenRule with the problem where the condition does not hold."""
    if not condition:
        raise BrokenRule(problem)


class Trial:
    """What the checks share: images, and the detector fitted to them."""

    def __init__(
        self,
        given: type[Detector] | Detector,
        settings: Settings | None,
        size: tuple[int, int],
        runtime: Runtime,
    ) -> None:
        self.given, self._settings, self.size, self.runtime = given, settings, size, runtime
        self.training = TexturedImages.make(N_TRAINING, size, seed=0)
        self.fresh = TexturedImages.make(N_FRESH, size, seed=1)
        self.defects = [painted(image) for image in self.fresh]

    @property
    def who(self) -> str:
        """The name of the class."""
        kind = self.given if isinstance(self.given, type) else type(self.given)
        return kind.__name__

    @cached_property
    def unfitted(self) -> Detector:
        return self.given if isinstance(self.given, Detector) else self.given(self._settings)

    def new(self) -> Detector:
        return self.unfitted.fresh()

    def fit(self, detector: Detector, images: TexturedImages, *, seed: int = 0) -> Scores | None:
        if self.unfitted.uses_references:
            images = replace(images, references=tuple(self.reference_of(image) for image in images))
        with one_blas_thread():  # as the inspector does
            return detector.fit(images, Job(self.runtime, seed))

    @cached_property
    def fitted(self) -> tuple[Detector, Scores | None]:
        detector = self.new()
        return detector, self.fit(detector, self.training)

    def rebuilt(self, state: State) -> Detector:
        return self.unfitted.rebuilt(state, size=self.size, runtime=self.runtime)

    def scores(self, detector: Detector, images: Sequence[Pixels]) -> Scores:
        references = [self.reference_of(image) for image in images] if self.unfitted.uses_references else None
        names = [f"image-{i}" for i in range(len(images))]
        with one_blas_thread():
            return detector.score(Batch(list(images), names, references=references))

    def reference_of(self, image: Pixels) -> Pixels:
        """The image a pixel aside; of a painted one, what it was before."""
        for fresh, (defect, _) in zip(self.fresh, self.defects, strict=True):
            if np.array_equal(image, defect):
                image = fresh
        return np.roll(image, 1, axis=1)

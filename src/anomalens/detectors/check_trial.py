"""What the checks of the contract share: striped images, the same everywhere, and a fitted detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import Batch, Detector, Scores, Settings, State
from anomalens.images.arrays import Pixels
from anomalens.job import Job
from anomalens.threads import one_blas_thread

SIZE: Final = (64, 96)  # not square, so that swapped height and width show
N_TRAINING: Final = 12
N_FRESH: Final = 4


@dataclass(frozen=True)
class TexturedImages:
    """Small striped images as `TrainingImages`."""

    pixels: tuple[Pixels, ...]
    groups: NDArray[np.int64]
    references: tuple[Pixels, ...] | None = None
    classes: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", (None,) * len(self.pixels))

    @classmethod
    def make(cls, count: int, size: tuple[int, int], *, seed: int) -> TexturedImages:
        """`count` different images, each a group of its own."""
        pixels = tuple(_textured(size, seed, i) for i in range(count))
        return cls(pixels, np.arange(count, dtype=np.int64))

    @property
    def ids(self) -> Sequence[str]:
        return [f"image-{i}" for i in range(len(self.pixels))]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels[0].shape[0], self.pixels[0].shape[1]

    def __len__(self) -> int:
        return len(self.pixels)

    def __iter__(self) -> Iterator[Pixels]:
        yield from self.pixels


def painted(image: Pixels) -> tuple[Pixels, NDArray[np.bool_]]:
    """A copy with a gross defect in its middle, a black and red chequered square, and its mask."""
    height, width = image.shape[:2]
    side = min(height, width) // 2
    top, left = (height - side) // 2, (width - side) // 2
    y, x = np.mgrid[:side, :side] // 4
    changed = image.copy()
    changed[top : top + side, left : left + side] = 0
    changed[top : top + side, left : left + side, 0] = 255 * ((y + x) % 2)
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return changed, mask


def _textured(size: tuple[int, int], seed: int, index: int) -> Pixels:
    """uint8 [h, w, 3]: stripes of random phase, a slow change of brightness and fine noise."""
    rng = np.random.default_rng([seed, index])
    y, x = np.mgrid[: size[0], : size[1]]
    stripes = 30 * np.sin((x + 0.3 * y) / 2.5 + rng.uniform(0, 2 * np.pi))
    slow = 10 * np.sin(y / 30 + rng.uniform(0, 2 * np.pi))
    noise = rng.normal(0, 4, size)
    grey = (120 + stripes + slow + noise)[:, :, None] * np.array([1.0, 0.9, 0.8])
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)


def _of_two_classes(images: TexturedImages) -> TexturedImages:
    """Groups by turns of two classes."""
    classes = tuple("even" if group % 2 == 0 else "odd" for group in images.groups)
    return replace(images, classes=classes)


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
        if self.unfitted.needs_classes:
            images = _of_two_classes(images)
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

"""The size of the prepared images from the time that a check of one may take (`--ms`)."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from anomalens.detectors.spec import DetectorSpec
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.images.image_set import ImageSet
from anomalens.images.sizes import middle_shape, same_shape
from anomalens.inspector.finding import Finding
from anomalens.inspector.fit_options import FitOptions
from anomalens.inspector.preparation import fixed_size, step_of


class Timed(Protocol):
    """What is timed: a fitted model that answers images."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def card(self) -> Mapping[str, Any]: ...

    def check(self, images: object, *, workers: int = 2) -> Iterator[Finding]: ...


Fitted = TypeVar("Fitted", bound=Timed)

_TIMED: Final = 8  # images, after one that warms up
_NEAR: Final = 0.7  # of the time allowed: a model that takes at least this much is not fitted again
_AIM: Final = 0.9  # of the time allowed: a machine's pace wavers
_STEP: Final = 32  # of sides, for a detector that takes all


def fitted_within(images: ImageSet, options: FitOptions, fit: Callable[[FitOptions], Fitted]) -> Fitted:
    """A model whose check of one image takes at most about `options.ms` milliseconds on this machine.

    It is fitted at the balanced size, timed, and fitted once more where a smaller or a larger size suits the
    time better; never with more pixels than the images have. The card's notes say what was measured.

    Raises
    ------
    SettingError
        A size, a quality or tiles were asked for too, or the detector sees one size only.
    """
    step = _step(options)
    assert options.ms is not None
    ms, asked = options.ms, replace(options, ms=None)
    found = fit(asked)
    taken = milliseconds(found, images)
    (height, width), shape = found.size, middle_shape(images)
    if shape is not None and not _NEAR * ms <= taken <= ms:
        pixels = min(width * height * _AIM * ms / taken, max(math.prod(shape), width * height))
        size = same_shape(shape, pixels=pixels, multiple=step)
        if size != (width, height):
            found = fit(replace(asked, size=size))
            taken = milliseconds(found, images)
    height, width = found.size
    said = f"At {width} x {height} pixels a check of an image took {taken:.0f} ms here; {ms} ms are allowed."
    found.card["notes"].append(said)
    if taken > ms:
        warnings.warn(said, AnomalensWarning, stacklevel=3)
    return found


def milliseconds(inspector: Timed, images: ImageSet) -> float:
    """The median time in which some images are decoded and answered, one at a time."""
    some = images.subset(range(min(len(images), _TIMED + 1)))
    times = []
    for number in range(len(some)):
        begun = time.perf_counter()
        list(inspector.check(some.subset([number]), workers=1))
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times[1:] or times)


def _step(options: FitOptions) -> int:
    """What the sides of the size that is chosen are multiples of; refuses where none can be chosen."""
    spec = DetectorSpec.parse(options.detector or "auto")
    tiled = options.tile is not None or spec.tiled
    given = {"a size": options.size, "a quality": options.quality, "tiles": tiled or None}
    for name, value in given.items():
        if value is not None:
            raise SettingError(f"{options.ms} milliseconds were given beside {name}; leave one of them out.")
    detector = spec.make(options.parameters)
    if detector.from_scratch or fixed_size(detector) is not None:
        raise SettingError(
            f"{spec.name} sees one size only, so {options.ms} milliseconds choose nothing; leave them out."
        )
    return step_of(detector) or _STEP

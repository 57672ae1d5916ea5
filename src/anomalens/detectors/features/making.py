"""From settings, or from a state, to the extractor that gives the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import State, TrainingImages
from anomalens.detectors.features.extractor import Extractor, FeatureSettings
from anomalens.detectors.features.latent import Latent
from anomalens.detectors.features.mirrored import Mirrored
from anomalens.detectors.features.pixels import SmallPicture
from anomalens.detectors.features.pretrained import PooledNetwork
from anomalens.detectors.features.texture import MIN_SIDE, Texture
from anomalens.errors import SettingError
from anomalens.job import Job


def learn_extractor(
    settings: FeatureSettings,
    images: TrainingImages,
    job: Job,
) -> tuple[Extractor, NDArray[np.int64]]:
    """The extractor that the settings ask for, and the rows of the images that it has not learnt from."""
    rows = np.arange(len(images), dtype=np.int64)
    found: Extractor
    if settings.features == "latent":
        found, rows = Latent.learn(settings, images, job)
    else:
        found = make_extractor(settings, size=images.size, runtime=job.runtime)
    return Mirrored(found) if settings.mirror else found, rows


def make_extractor(settings: FeatureSettings, *, size: tuple[int, int], runtime: Runtime) -> Extractor:
    """The extractor of these settings, of features that need no training, for images of this size."""
    if settings.features == "pixels":
        return SmallPicture(settings.pixel_size, colour=settings.colour)
    if settings.features == "texture":
        if min(size) < MIN_SIDE:
            raise SettingError(
                f"Texture features need images of at least {MIN_SIDE} pixels a side, not "
                f"{size[0]}×{size[1]}: choose a larger size."
            )
        return Texture(size)
    return PooledNetwork.from_backbone(
        settings.backbone, settings.taps, settings.statistics, size=size, runtime=runtime
    )


def extractor_from_state(state: State, *, size: tuple[int, int], runtime: Runtime) -> Extractor:
    """Rebuild what `numbers` and `graphs` described."""
    found = _plain_from_state(state, size=size, runtime=runtime)
    return Mirrored(found) if state.numbers["features"].get("mirror") else found


def _plain_from_state(state: State, *, size: tuple[int, int], runtime: Runtime) -> Extractor:
    numbers: Mapping[str, Any] = state.numbers["features"]
    kind = numbers["kind"]
    if kind == "pixels":
        return SmallPicture(int(numbers["side"]), colour=bool(numbers["colour"]))
    if kind == "texture":
        return Texture(size)
    if kind == "latent":
        return Latent.from_numbers(numbers, state.graphs["features"], size=size, runtime=runtime)
    if kind == "pretrained":
        return PooledNetwork.from_numbers(numbers, state.graphs["features"], size=size, runtime=runtime)
    raise ValueError(f"features of the unknown kind {kind!r:.40}")

"""What is at hand while `auto` is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.network import FeatureNetwork
from anomalens.detectors.patches.auto.names import DETAIL, FINE, NEAREST
from anomalens.detectors.patches.auto.reading import Plan, Reading, open_network, read
from anomalens.detectors.patches.auto.settings import AutoSettings
from anomalens.detectors.patches.views.maps import MapMaker
from anomalens.detectors.patches.views.position_view import PositionView
from anomalens.job import Job

LAYOUT_DIMENSIONS = 128


@dataclass(frozen=True)
class Learning:
    """Views of normal images, learnt, before they are weighed.

    Attributes
    ----------
    settings : AutoSettings
    images : TrainingImages
    job : Job
    network : FeatureNetwork
    plan : Plan
    reading : Reading
    detail, layout : PositionView
    makers : mapping of view to MapMaker
    """

    settings: AutoSettings
    images: TrainingImages
    job: Job
    network: FeatureNetwork
    plan: Plan
    reading: Reading
    detail: PositionView
    layout: PositionView
    makers: Mapping[str, MapMaker]

    @classmethod
    def of(cls, settings: AutoSettings, images: TrainingImages, job: Job) -> Self:
        """One pass over the images, and a model for each view."""
        network = open_network(settings, images, job)
        plan = Plan.of(images, settings.max_images, job.seed)
        reading = read(network, images, settings, plan, job)
        folds = plan.view_folds
        detail = PositionView(
            reading.detail,
            folds[plan.learnt],
            dimensions=settings.dimensions,
            components=settings.components,
            seed=job.seed,
            also=(reading.painted.detail, folds[reading.painted.rows]),
        )
        layout = PositionView(
            reading.layout,
            folds[plan.learnt],
            dimensions=LAYOUT_DIMENSIONS,
            components=settings.components,
            seed=job.seed,
        )
        coarse = MapMaker(reading.memory.grid, images.size, settings.sigma)
        makers = {NEAREST: coarse, DETAIL: coarse}
        if reading.fine_grid is not None:
            makers[FINE] = MapMaker(reading.fine_grid, images.size, settings.sigma)
        return cls(settings, images, job, network, plan, reading, detail, layout, makers)

"""One pass over the images: what every view of `auto` learns from, and the same of some painted copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.card import BackboneCard
from anomalens.backbones.embedding import DETAIL, EMBEDDING, FEATURES, FINE, joint_embedding
from anomalens.backbones.registry import load_backbone
from anomalens.detectors.contract import TrainingImages
from anomalens.detectors.features.pretrained import STRIDES as POOLED_STRIDES
from anomalens.detectors.folds import MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.detectors.network import PATCH_STRIDES, FeatureNetwork, taps_at
from anomalens.detectors.patches.auto.painted import PAINTED, as_bytes, painted
from anomalens.detectors.patches.auto.settings import AutoSettings
from anomalens.detectors.patches.views.feature_store import FeatureStore, PairwiseDistance
from anomalens.detectors.patches.views.half_precision import Halves, as_float16
from anomalens.detectors.patches.views.memory import FOLDS, Memory
from anomalens.detectors.patches.views.shared_gaussians import SharedMoments
from anomalens.detectors.patches.views.view import Floats, Grid
from anomalens.job import Job

VIEW_FOLDS: Final = 5  # of the cheaper views; FOLDS is a multiple, so no image's fold is split
FINE_STRIDES: Final = (4, 8)
LAYOUT_STEP: Final = 2  # the layout is of every second patch: averaged ones overlap
_LEAST_PAINTED: Final = 8


@dataclass(frozen=True)
class Plan:
    """Which images serve for what.

    Attributes
    ----------
    groups, folds : int64 [n]
    learnt : int64 [m]
        Images that detail and layout learn from.
    wanted : bool [n]
        Images that calibrate.
    to_paint : int64 [k]
        Some of those, in the order in which they are painted on where there is room.
    """

    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    learnt: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    to_paint: NDArray[np.int64]

    @classmethod
    def of(cls, images: TrainingImages, max_images: int, seed: int) -> Plan:
        groups = np.asarray(images.groups)
        order = np.random.default_rng(seed).permutation(len(images))
        wanted = some_groups(groups, MAX_CALIBRATION_IMAGES, seed)
        return cls(
            groups,
            fold_of_groups(groups, FOLDS, seed),
            np.sort(order[:max_images]),
            wanted,
            order[wanted[order]][:PAINTED],
        )

    @property
    def view_folds(self) -> NDArray[np.int64]:
        """Folds of the cheaper views."""
        return self.folds % VIEW_FOLDS


@dataclass(frozen=True)
class Painted:
    """Features of normal images with painted defects.

    Attributes
    ----------
    rows : int64 [k]
        The images.
    masks : list of bool [h, w]
    patches : list of float32 [p, c]
    detail : float16 [k, p, c]
    fine : list of (float16 [p, c], float16 [p, c])
        Before and after; empty where there is no fine view.
    """

    rows: NDArray[np.int64]
    masks: list[NDArray[np.bool_]]
    patches: list[Floats]
    detail: Halves
    fine: list[tuple[Halves, Halves]]


@dataclass(frozen=True)
class Reading:
    """What one pass over the images gave.

    Attributes
    ----------
    memory : Memory
        Holds all patches.
    apart : float
        How far any two patches lie apart.
    pooled : float32 [n, d]
        Whole images' features.
    layout, detail : float16 [m, p, c]
        Features of the images that these views learn from.
    fine : SharedMoments or None
    fine_grid : (int, int) or None
    painted : Painted
    """

    memory: Memory
    apart: float
    pooled: Floats
    layout: Halves
    detail: Halves
    fine: SharedMoments | None
    fine_grid: Grid | None
    painted: Painted


def open_network(settings: AutoSettings, images: TrainingImages, job: Job) -> FeatureNetwork:
    """Image → averaged patches, the same without averages, pooled features and perhaps finer patches."""
    backbone = load_backbone(settings.backbone)
    card = backbone.card
    card.check_size(images.size)
    taps = settings.taps or taps_at(card, PATCH_STRIDES)
    pooled = sorted(taps_at(card, POOLED_STRIDES), key=lambda tap: card.tap(tap).stride)
    fine = fine_taps(card) if settings.fine else ()
    used = list(dict.fromkeys([*taps, *pooled, *fine]))
    graph = joint_embedding(backbone.graph(used), taps, pooled, fine, size=images.size, runtime=job.runtime)
    return FeatureNetwork.from_card(graph, card, used=used, size=images.size, runtime=job.runtime)


def fine_taps(card: BackboneCard) -> tuple[str, ...]:
    """The backbone's taps at the fine view's strides; none where it lacks one of them."""
    usual = tuple(f"stride{stride}" for stride in FINE_STRIDES)
    return usual if set(usual) <= {tap.name for tap in card.taps} else ()


def seen(network: FeatureNetwork, image: Any) -> dict[str, Floats]:
    """What the network gives for an image, by name; `fine` where it has that."""
    embedding, detail, pooled, *fine = network(image)
    found = {EMBEDDING: embedding, DETAIL: detail, FEATURES: pooled}
    return found | ({FINE: fine[0]} if fine else {})


def rows_of(grid: NDArray[Any]) -> NDArray[Any]:
    """[h, w, c] → [h · w, c]."""
    return grid.reshape(-1, grid.shape[-1])


def read(
    network: FeatureNetwork, images: TrainingImages, settings: AutoSettings, plan: Plan, job: Job
) -> Reading:
    """One pass over the images."""
    collected: _Collected | None = None
    for i, image in enumerate(job.progress(images, label="reading features", total=len(images))):
        views = seen(network, image)
        if collected is None:
            collected = _Collected(views, settings, plan, job.seed)
        collected.add(i, views)
        if i in collected.chosen:
            copy, mask = painted(as_bytes(image), len(collected.masks), job.seed)
            collected.add_painted(views, seen(network, copy), mask)
    assert collected is not None
    return collected.reading(images, settings, job)


class _Collected:
    """Room for what is read, made when the first image shows how large it is."""

    def __init__(self, views: dict[str, Floats], settings: AutoSettings, plan: Plan, seed: int) -> None:
        embedding = views[EMBEDDING]
        self._plan = plan
        self._grid = (embedding.shape[0], embedding.shape[1])
        self._place = {int(i): row for row, i in enumerate(plan.learnt)}
        # fewer images are painted where features of all of them would take over a quarter of the budget
        most = max(_LEAST_PAINTED, int(settings.memory_mb * 1e6 / 4 / (6 * embedding.size)))
        self._rows = np.sort(plan.to_paint[:most])
        self.chosen = set(self._rows.tolist())
        self._store: FeatureStore = settings.store(self._grid, embedding.shape[2], len(plan.groups), seed)
        self._layout, self._detail = (
            np.empty((len(self._place), *rows_of(view).shape), np.float16)
            for view in (embedding[::LAYOUT_STEP, ::LAYOUT_STEP], views[DETAIL])
        )
        self._fine: SharedMoments | None = None
        self._fine_grid: Grid | None = None
        folds = int(plan.view_folds.max()) + 1
        if FINE in views and views[FINE].size * (8 * folds + 4 * len(self._rows)) <= settings.memory_mb * 1e6:
            self._fine = SharedMoments(folds)
            self._fine_grid = (views[FINE].shape[0], views[FINE].shape[1])
        self._apart = PairwiseDistance()
        self._pooled: list[Floats] = []
        self.masks: list[NDArray[np.bool_]] = []
        self._patches_painted: list[Floats] = []
        self._detail_painted: list[Halves] = []
        self._fine_pairs: list[tuple[Halves, Halves]] = []

    def add(self, i: int, views: dict[str, Floats]) -> None:
        embedding = views[EMBEDDING]
        self._store.add(rows_of(embedding), int(self._plan.groups[i]))
        self._apart.add(rows_of(embedding))
        self._pooled.append(views[FEATURES])
        if self._fine is not None:
            self._fine.add(rows_of(views[FINE]), int(self._plan.view_folds[i]))
        if i in self._place:
            some = embedding[::LAYOUT_STEP, ::LAYOUT_STEP]
            self._layout[self._place[i]] = rows_of(as_float16(some))
            self._detail[self._place[i]] = rows_of(as_float16(views[DETAIL]))

    def add_painted(
        self, before: dict[str, Floats], after: dict[str, Floats], mask: NDArray[np.bool_]
    ) -> None:
        self._patches_painted.append(rows_of(after[EMBEDDING]))
        self._detail_painted.append(rows_of(as_float16(after[DETAIL])))
        if self._fine is not None:
            pair = (as_float16(rows_of(before[FINE])), as_float16(rows_of(after[FINE])))
            self._fine_pairs.append(pair)
        self.masks.append(mask)

    def reading(self, images: TrainingImages, settings: AutoSettings, job: Job) -> Reading:
        memory = Memory.of(self._store, images, settings, self._grid, job)
        detail = np.array(self._detail_painted).reshape(-1, *self._detail.shape[1:])
        painted = Painted(self._rows, self.masks, self._patches_painted, detail, self._fine_pairs)
        return Reading(
            memory,
            self._apart.typical(),
            np.array(self._pooled, np.float32),
            self._layout,
            self._detail,
            self._fine,
            self._fine_grid,
            painted,
        )

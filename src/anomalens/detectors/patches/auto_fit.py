"""The fit of `auto`, step by step: features, models, left-out distances, evidence, fusion, graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import DETAIL, EMBEDDING, FEATURES, joint_embedding
from anomalens.backbones.graph_surgery import Graph
from anomalens.backbones.registry import load_backbone
from anomalens.backbones.runtimes import Runtime
from anomalens.calibration.conformal import MIN_GROUPS
from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.contract import Scores, TrainingImages
from anomalens.detectors.features.pretrained import STRIDES as POOLED_STRIDES
from anomalens.detectors.folds import MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.detectors.network import PATCH_STRIDES, ROUNDING, FeatureNetwork, taps_at
from anomalens.detectors.patches.auto_heads import TOP_SHARE, VIEWS, Context, Fusion, left_out_context
from anomalens.detectors.patches.bank import Bank
from anomalens.detectors.patches.coreset import greedy_coreset
from anomalens.detectors.patches.evidence import (
    PAINTED,
    Trial,
    as_bytes,
    auroc,
    choose,
    painted,
    region_overlap,
)
from anomalens.detectors.patches.feature_store import FeatureStore
from anomalens.detectors.patches.left_out import FOLDS, banks_without, held_features
from anomalens.detectors.patches.maps import MapMaker, mean_of_highest
from anomalens.detectors.patches.padim import as_float16
from anomalens.detectors.patches.position_gaussians import PositionGaussians, principal_axes
from anomalens.detectors.patches.search_graph import (
    MAP,
    NEAREST,
    UNLIKELY,
    append_gaussians,
    append_map,
    append_nearest,
)
from anomalens.errors import BackboneError
from anomalens.images.arrays import Pixels
from anomalens.progress import Progress

if TYPE_CHECKING:
    from anomalens.detectors.patches.auto import AutoSettings

Floats = NDArray[np.float32]

DETAIL_FOLDS: Final = 5  # of the two cheaper views; FOLDS is a multiple, so no image's fold is split
ENOUGH_GROUPS: Final = 200  # for the full weight of the context
# A view's scale is learnt from one score per group: from fewer than the first it is no scale at all, from
# the second on it is trusted (suites/few-shot.toml).
FEW_GROUPS: Final = (4, 16)
# Shares of the detail view in the map, of its spread against that of the patches; the last: detail alone.
SHARES: Final = (0.0, 0.2, 1 / 3, 0.5, 2 / 3, 1.0)
_SPARE: Final = 2
_NORMAL_PIXELS: Final = 500_000
# Largest difference between the graph's distances and numpy's, relative to the largest.
_TOLERANCE: Final = 1e-2


class AutoFit:
    """Runs on construction; what it found are the attributes.

    Attributes
    ----------
    grid : (int, int)
    network : FeatureNetwork
        Image → features, nearest, mahalanobis, anomaly_map.
    context : Context
    fusion : Fusion
    chosen : dict
        What was chosen and why, in plain numbers and one sentence.
    scores : Scores
        Out-of-fold.
    """

    def __init__(
        self,
        settings: AutoSettings,
        images: TrainingImages,
        *,
        runtime: Runtime,
        seed: int,
        progress: Progress,
    ) -> None:
        self._s, self._images, self._seed, self._progress = settings, images, seed, progress
        self._groups = np.asarray(images.groups)
        self._folds = fold_of_groups(self._groups, FOLDS, seed)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(images))
        self._learnt = np.sort(order[: settings.max_images])  # by the detail view
        self._painted = np.sort(order[:PAINTED])
        self._detail: NDArray[np.float16]
        self._detail_painted: NDArray[np.float16]
        self.network = self._open(runtime)
        store = self._collect()
        wanted = max(settings.min_bank, round(settings.coreset_ratio * store.seen))
        coreset = greedy_coreset(store.features, min(wanted, settings.max_bank), seed=seed, progress=progress)
        self._axes = principal_axes(
            self._detail.reshape(-1, self._detail.shape[-1]), settings.dimensions, seed=seed
        )
        self._detail = self._along_axes(self._detail)
        self._detail_painted = self._along_axes(self._detail_painted)
        gaussians = PositionGaussians.fit(self._detail, self._axes)
        self.context = Context.learn(self._features)
        self._maps = MapMaker(self.grid, images.size, settings.sigma)
        banks = banks_without(store, coreset, self._groups, self._folds)
        vectors = np.ascontiguousarray(store.features[coreset.chosen])
        if banks and len(np.unique(self._groups)) >= MIN_GROUPS:
            self._leave_out(store, banks, gaussians)
        else:
            self._nothing_to_leave_out()
        graph = self._graph(vectors, gaussians)
        first = next(iter(images))
        embedding, detail, _ = self.network(first)
        self.network = self.network.with_graph(graph, runtime=runtime)
        if runtime.precision == "float32":
            self._check(first, Bank(vectors), gaussians, embedding, detail, runtime)

    def _open(self, runtime: Runtime) -> FeatureNetwork:
        backbone = load_backbone(self._s.backbone)
        card = backbone.card
        card.check_size(self._images.size)
        taps = self._s.taps or taps_at(card, PATCH_STRIDES)
        pooled = sorted(taps_at(card, POOLED_STRIDES), key=lambda tap: card.tap(tap).stride)
        used = list(dict.fromkeys([*taps, *pooled]))
        return FeatureNetwork.from_card(
            joint_embedding(backbone.graph(used), taps, pooled, size=self._images.size),
            card,
            used=used,
            size=self._images.size,
            runtime=runtime,
        )

    def _collect(self) -> FeatureStore:
        """One pass over the images: all three views, and those of some painted copies."""
        images, store = self._images, None
        detail, features, copies = [], [], []
        masks: list[NDArray[np.bool_]] = []
        learnt, chosen = set(self._learnt.tolist()), set(self._painted.tolist())
        for i, image in enumerate(self._progress(images, label="reading features", total=len(images))):
            embedding, unaveraged, pooled = self.network(image)
            h, w, channels = embedding.shape
            if store is None:
                self.grid = (h, w)
                store = FeatureStore(
                    channels,
                    memory_mb=self._s.memory_mb,
                    keep=_SPARE * self._s.max_bank,
                    expected=h * w * len(images),
                    seed=self._seed,
                )
            store.add(embedding.reshape(h * w, channels), int(self._groups[i]))
            features.append(pooled)
            if i in learnt:
                detail.append(as_float16(unaveraged).reshape(h * w, channels))
            if i in chosen:
                copy, mask = painted(as_bytes(image), len(masks), self._seed)
                seen, fine, _ = self.network(copy)
                copies.append((seen.reshape(h * w, channels), as_float16(fine).reshape(h * w, channels)))
                masks.append(mask)
        assert store is not None
        self._features = np.array(features, np.float32)
        self._detail = np.array(detail)
        self._masks = masks
        self._patches_painted = [pair[0] for pair in copies]
        self._detail_painted = np.array([pair[1] for pair in copies]).reshape(-1, *self._detail.shape[1:])
        return store

    def _along_axes(self, detail: NDArray[np.float16]) -> NDArray[np.float16]:
        x = np.empty((*detail.shape[:2], self._axes.shape[1]), np.float16)
        for i, image in enumerate(detail):
            x[i] = image.astype(np.float32) @ self._axes
        return x

    def _leave_out(self, store: FeatureStore, banks: list[Bank], gaussians: PositionGaussians) -> None:
        """Distances of every image, and of the painted ones, under models that left its fold out."""
        n = len(self._images)
        nearest, unlikely = self._left_out_distances(store, banks, gaussians)
        context = left_out_context(
            self._features,
            self._folds % DETAIL_FOLDS,
            lambda folds: self._progress(folds, label="calibrating", total=len(folds)),
        )
        raw = {
            "patches": np.array([mean_of_highest(d, TOP_SHARE) for d in nearest]),
            "detail": np.array([mean_of_highest(d, TOP_SHARE) for d in unlikely]),
            "context": context,
        }
        known = np.isfinite(sum(raw.values()))
        n_groups = len(np.unique(self._groups))
        scales = {view: TailScale.fit(raw[view][known]) for view in VIEWS}
        trust = float(np.interp(n_groups, FEW_GROUPS, (0.0, 1.0)))
        weights = {
            "patches": 1.0,
            "detail": self._s.detail * trust,
            "context": self._s.context * trust * min(1.0, n_groups / ENOUGH_GROUPS),
        }
        spreads = {
            view: (float(d[known].mean()), max(float(d[known].std()), 1e-9))
            for view, d in (("patches", nearest), ("detail", unlikely))
        }
        trials = self._trials(banks, nearest[known], unlikely[known], spreads)
        best = choose(trials)
        terms, offset = _map_terms(best.weight, spreads)
        self.fusion = Fusion(scales, weights, terms, offset)
        self.chosen = {
            "weights": weights,
            "detail_in_map": best.weight,
            "trials": [[t.weight, t.overlap, t.image_auroc] for t in trials],
            "why": _reason(best, trials),
        }
        scores = np.full(n, np.nan)
        maxima = np.full((n, 1, 1), np.nan, np.float32)
        for i in np.flatnonzero(known):
            scores[i] = self.fusion.score({view: float(raw[view][i]) for view in VIEWS})
            grid = terms[0] * nearest[i] + terms[1] * unlikely[i] + offset
            maxima[i] = self._maps(grid.astype(np.float32)).max()
        self.scores = Scores(scores, maxima)

    def _left_out_distances(
        self, store: FeatureStore, banks: list[Bank], gaussians: PositionGaussians
    ) -> tuple[Floats, Floats]:
        """Both patch views' distances [n, h, w]; NaN for images that take no part."""
        images, n, (h, w) = self._images, len(self._images), self.grid
        wanted = some_groups(self._groups, MAX_CALIBRATION_IMAGES, self._seed)
        nearest = np.full((n, h, w), np.nan, np.float32)
        unlikely = np.full((n, h, w), np.nan, np.float32)
        folds = self._folds % DETAIL_FOLDS
        self._unlikely_painted = np.empty((len(self._painted), h, w), np.float32)
        for fold in np.unique(folds):
            held = folds[self._learnt] == fold
            if held.all():  # few images to learn from, of one fold: these have no model that left them out
                left = gaussians
            else:
                left = PositionGaussians.fit(self._detail[~held], self._axes) if held.any() else gaussians
                unlikely[self._learnt[held]] = left.distances(self._detail[held]).reshape(-1, h, w)
            ours = folds[self._painted] == fold
            self._unlikely_painted[ours] = left.distances(self._detail_painted[ours]).reshape(-1, h, w)
        unlikely[~wanted] = np.nan
        if not store.reduced and len(self._learnt) == n:
            rows = held_features(store, h * w, n)
            for i, x in enumerate(self._progress(rows, label="calibrating", total=n)):
                if wanted[i]:
                    nearest[i] = banks[self._folds[i]].nearest(x).reshape(h, w)
            return nearest, unlikely
        # More images than are held: a second pass. The detail view has not learnt from the others.
        learnt = set(self._learnt.tolist())
        for i, image in enumerate(self._progress(images, label="calibrating", total=n)):
            if not wanted[i]:
                continue
            embedding, detail, _ = self.network(image)
            nearest[i] = banks[self._folds[i]].nearest(embedding.reshape(h * w, -1)).reshape(h, w)
            if i not in learnt:
                x = (as_float16(detail).astype(np.float32).reshape(h * w, -1) @ self._axes)[None]
                unlikely[i] = gaussians.distances(x).reshape(h, w)
        return nearest, unlikely

    def _trials(
        self,
        banks: list[Bank],
        nearest: Floats,
        unlikely: Floats,
        spreads: dict[str, tuple[float, float]],
    ) -> list[Trial]:
        """Every share of the detail view, tried on the painted images."""
        copies = np.stack([
            banks[self._folds[i]].nearest(x).reshape(self.grid)
            for i, x in zip(self._painted, self._patches_painted, strict=True)
        ])  # fmt: skip
        trials = []
        few = np.random.default_rng(self._seed).permutation(len(nearest))[:PAINTED]
        for share in SHARES:
            (a, b), offset = _map_terms(share, spreads)
            normal = [
                self._maps(a * p + b * q + offset) for p, q in zip(nearest[few], unlikely[few], strict=True)
            ]
            marked = [
                self._maps(a * p + b * q + offset)
                for p, q in zip(copies, self._unlikely_painted, strict=True)
            ]
            # what lies around a defect is normal too: a map that smears must pay for it
            around = [m[~mask] for m, mask in zip(marked, self._masks, strict=True)]
            pixels = np.concatenate([*(m.ravel() for m in normal), *around])
            step = max(1, len(pixels) // _NORMAL_PIXELS)
            overlap = region_overlap(
                pixels[::step], [m[mask] for m, mask in zip(marked, self._masks, strict=True)]
            )
            tops = [np.array([float(m.max()) for m in maps]) for maps in (normal, marked)]
            trials.append(Trial(share, overlap, auroc(tops[0], tops[1])))
        return trials

    def _nothing_to_leave_out(self) -> None:
        """Too few groups to weigh anything: the plain distances of patches alone.

        Of two groups an inspector calibrates by models of one each: their scores need one unit.
        """
        n = len(self._images)
        self.fusion = Fusion(None, {view: float(view == "patches") for view in VIEWS}, (1.0, 0.0), 0.0)
        self.chosen = {"why": "fewer than three groups of images leave nothing to choose by: patches alone"}
        self.scores = Scores(np.full(n, np.nan), np.full((n, 1, 1), np.nan, np.float32))

    def _graph(self, vectors: Floats, gaussians: PositionGaussians) -> bytes:
        edited = Graph.parse(self.network.graph)
        append_nearest(edited, EMBEDDING, vectors, self.grid)
        append_gaussians(edited, DETAIL, gaussians, self.grid)
        first, second = self.fusion.map_terms
        append_map(edited, [(NEAREST, first), (UNLIKELY, second)], self._maps, offset=self.fusion.map_offset)
        shape = [1, *self.grid]
        return edited.finish(
            [(FEATURES, [1, None]), (NEAREST, shape), (UNLIKELY, shape), (MAP, [1, *self._maps.size])]
        )

    def _check(
        self,
        image: Pixels,
        bank: Bank,
        gaussians: PositionGaussians,
        embedding: Floats,
        detail: Floats,
        runtime: Runtime,
    ) -> None:
        """Refuse a runtime whose distances disagree with those that the calibration rests on."""
        patches = self.grid[0] * self.grid[1]
        expected = bank.nearest(embedding.reshape(patches, -1)).reshape(self.grid)
        # a patch that is itself in the bank has a squared distance of rounding errors
        scale = max(1.0, float(np.abs(embedding).max()))
        _, nearest, unlikely, _ = self.network(image)
        likewise = gaussians.distances((detail.reshape(patches, -1) @ self._axes)[None]).reshape(self.grid)
        if self.network.rounds:  # each graph rounds to 8 bits in places of its own
            apart = max(_mean_change(nearest, expected), _mean_change(unlikely, likewise))
            allowed = ROUNDING
        else:
            apart = max(
                float(np.abs(nearest - expected).max()) / scale,
                float(np.abs(unlikely - likewise).max()) / max(1.0, float(likewise.max())),
            )
            allowed = _TOLERANCE
        if not apart <= allowed:
            raise BackboneError(
                f"{runtime.name} finds other distances than the fitted models hold; use another runtime."
            )


def _mean_change(found: Floats, expected: Floats) -> float:
    return float(np.abs(found - expected).mean() / max(1e-12, float(np.abs(expected).mean())))


def _map_terms(share: float, spreads: dict[str, tuple[float, float]]) -> tuple[tuple[float, float], float]:
    """Weights of the two distances and an offset: the map is in standard deviations of normal patches."""
    (mean_p, spread_p), (mean_d, spread_d) = spreads["patches"], spreads["detail"]
    a, b = (1 - share) / spread_p, share / spread_d
    return (a, b), -(a * mean_p + b * mean_d)


def _reason(best: Trial, trials: list[Trial]) -> str:
    alone = next(trial for trial in trials if trial.weight == 0)
    return (
        f"{best.weight:.0%} detail in the map outlines {best.overlap:.1%} of painted defects where patches "
        f"alone outline {alone.overlap:.1%}"
    )

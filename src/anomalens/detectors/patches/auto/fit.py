"""The fit of `auto`, step by step: features, models, left-out distances, evidence, fusion, graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.card import BackboneCard
from anomalens.backbones.embedding import joint_embedding
from anomalens.backbones.registry import load_backbone
from anomalens.backbones.runtimes import Runtime
from anomalens.calibration.conformal import MIN_GROUPS
from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.contract import Scores, TrainingImages
from anomalens.detectors.features.pretrained import STRIDES as POOLED_STRIDES
from anomalens.detectors.folds import MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.detectors.network import PATCH_STRIDES, FeatureNetwork, taps_at
from anomalens.detectors.patches.auto_graph import Models
from anomalens.detectors.patches.auto_heads import (
    LAYOUT_SHARE,
    TOP_SHARE,
    VIEWS,
    Context,
    Fusion,
    every_second,
    left_out_context,
)
from anomalens.detectors.patches.auto_map import (
    FINE_REGULARISATIONS,
    Grids,
    MapMixer,
    MapTerms,
    Spread,
    reason,
)
from anomalens.detectors.patches.auto_weights import weights
from anomalens.detectors.patches.bank import Bank
from anomalens.detectors.patches.evidence import PAINTED, as_bytes, auroc, choose, painted, painted_kind
from anomalens.detectors.patches.feature_store import FeatureStore, PairwiseDistance
from anomalens.detectors.patches.half_precision import as_float16
from anomalens.detectors.patches.left_out import FOLDS, banks_without
from anomalens.detectors.patches.maps import MapMaker, mean_of_highest
from anomalens.detectors.patches.position_view import PositionView
from anomalens.detectors.patches.shared_gaussians import SharedGaussians, SharedMoments
from anomalens.job import Job

if TYPE_CHECKING:
    from anomalens.detectors.patches.auto import AutoSettings

Floats = NDArray[np.float32]

VIEW_FOLDS: Final = 5  # of the cheaper views; FOLDS is a multiple, so no image's fold is split
FINE_STRIDES: Final = (4, 8)
LAYOUT_DIMENSIONS: Final = 128
_SPARE: Final = 2
_LEAST_PAINTED: Final = 8
_VARIED: Final = (
    "the images show different things (painted defects hide among the patches of other normal images), so "
    "the picture as a whole counts more"
)


class AutoFit:
    """Runs on construction; what it found are the attributes.

    Attributes
    ----------
    grid : (int, int)
    network : FeatureNetwork
        Image → features, nearest, layout, anomaly_map.
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
        job: Job,
    ) -> None:
        self._s, self._images = settings, images
        runtime, seed, progress = job.runtime, job.seed, job.progress
        self._seed, self._progress = seed, progress
        self._groups = np.asarray(images.groups)
        self._folds = fold_of_groups(self._groups, FOLDS, seed)
        self._view_folds = self._folds % VIEW_FOLDS
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(images))
        self._learnt = np.sort(order[: settings.max_images])  # by detail and layout
        self._wanted = some_groups(self._groups, MAX_CALIBRATION_IMAGES, seed)
        self._to_paint = order[self._wanted[order]][:PAINTED]
        self._painted = np.sort(self._to_paint)
        self._fine: SharedMoments | None = None
        self.network = self._open(runtime)
        store = self._collect()
        wanted = max(settings.min_bank, round(settings.coreset_ratio * store.seen))
        coreset = store.coreset(min(wanted, settings.max_bank), progress=progress)
        self._detail, self._layout = self._position_views()
        self.context = Context.learn(self._features)
        banks = list(banks_without(store, coreset, self._groups, self._folds))
        bank = Bank(store[coreset.chosen])
        if banks and len(np.unique(self._groups)) >= MIN_GROUPS:
            self._leave_out(store, banks)
        else:
            self._nothing_to_leave_out()
        self.chosen["search_axes"] = len(bank.factor) - 1
        fine = None
        if self._fine is not None and self._terms.factors[2]:
            fine = self._fine.gaussians(regularisation=self._fine_regularisation)
        detail = self._detail.gaussians if self._terms.factors[1] else None
        models = Models(bank, self._layout.gaussians, detail, fine, self._terms, self._maps, self._fine_maps)
        first = next(iter(images))
        views = self.network(first)
        self.network = self.network.with_graph(models.graph(self.network.graph), runtime=runtime)
        if runtime.precision == "float32":
            models.check(self.network, first, views, runtime)

    def _open(self, runtime: Runtime) -> FeatureNetwork:
        backbone = load_backbone(self._s.backbone)
        card = backbone.card
        card.check_size(self._images.size)
        taps = self._s.taps or taps_at(card, PATCH_STRIDES)
        pooled = sorted(taps_at(card, POOLED_STRIDES), key=lambda tap: card.tap(tap).stride)
        fine = fine_taps(card) if self._s.fine else ()
        used = list(dict.fromkeys([*taps, *pooled, *fine]))
        return FeatureNetwork.from_card(
            joint_embedding(
                backbone.graph(used), taps, pooled, fine, size=self._images.size, runtime=runtime
            ),
            card,
            used=used,
            size=self._images.size,
            runtime=runtime,
        )

    def _collect(self) -> FeatureStore:
        """One pass over the images: all views, and those of some painted copies."""
        images, store = self._images, None
        features, copies, detail_copies, fine_pairs = [], [], [], []
        masks: list[NDArray[np.bool_]] = []
        place, chosen = {int(i): row for row, i in enumerate(self._learnt)}, set[int]()
        apart = PairwiseDistance()
        for i, image in enumerate(self._progress(images, label="reading features", total=len(images))):
            embedding, unaveraged, pooled, *fine = self.network(image)
            h, w, channels = embedding.shape
            if store is None:
                self.grid = (h, w)
                self._maps = MapMaker(self.grid, images.size, self._s.sigma)
                self._paint_what_fits(6 * embedding.size)
                half = every_second(embedding)
                self._layout_features, self._detail_features = (
                    np.empty((len(place), *_rows(view).shape), np.float16) for view in (half, unaveraged)
                )
                chosen = set(self._painted.tolist())
                self._fine_maps = None
                if fine and self._fits(fine[0].size):
                    self._fine = SharedMoments(int(self._view_folds.max()) + 1)
                    self._fine_maps = MapMaker(fine[0].shape[:2], images.size, self._s.sigma)
                store = FeatureStore(
                    channels,
                    memory_mb=self._s.memory_mb,
                    keep=_SPARE * self._s.max_bank,
                    expected=h * w * len(images),
                    seed=self._seed,
                )
            store.add(embedding.reshape(h * w, channels), int(self._groups[i]))
            apart.add(embedding.reshape(h * w, channels))
            features.append(pooled)
            if self._fine is not None:
                self._fine.add(_rows(fine[0]), int(self._view_folds[i]))
            if i in place:
                self._layout_features[place[i]] = _rows(as_float16(every_second(embedding)))
                self._detail_features[place[i]] = _rows(as_float16(unaveraged))
            if i in chosen:
                copy, mask = painted(as_bytes(image), len(masks), self._seed)
                seen, unaveraged, _, *finer = self.network(copy)
                copies.append(_rows(seen))
                detail_copies.append(_rows(as_float16(unaveraged)))
                if self._fine is not None:
                    fine_pairs.append((as_float16(_rows(fine[0])), as_float16(_rows(finer[0]))))
                masks.append(mask)
        assert store is not None
        self._apart = apart.typical()
        self._features = np.array(features, np.float32)
        self._masks = masks
        self._patches_painted = copies
        self._detail_painted = np.array(detail_copies).reshape(-1, *self._detail_features.shape[1:])
        self._fine_pairs = fine_pairs
        return store

    def _paint_what_fits(self, image_bytes: int) -> None:
        """Fewer images are painted where features of all of them would take over a quarter of the budget."""
        most = max(_LEAST_PAINTED, int(self._s.memory_mb * 1e6 / 4 / image_bytes))
        self._painted = np.sort(self._to_paint[:most])

    def _fits(self, features: int) -> bool:
        """Whether the fine view's sums, and its features of the painted images, are within the budget."""
        folds = int(self._view_folds.max()) + 1
        return features * (8 * folds + 2 * 2 * len(self._painted)) <= self._s.memory_mb * 1e6

    def _position_views(self) -> tuple[PositionView, PositionView]:
        """Detail and layout; their features are let go."""
        folds, s = self._view_folds[self._learnt], self._s
        detail = PositionView(
            self._detail_features,
            folds,
            dimensions=s.dimensions,
            components=s.components,
            seed=self._seed,
            also=(self._detail_painted, self._view_folds[self._painted]),
        )
        del self._detail_features, self._detail_painted
        layout = PositionView(
            self._layout_features,
            folds,
            dimensions=LAYOUT_DIMENSIONS,
            components=s.components,
            seed=self._seed,
        )
        del self._layout_features
        return detail, layout

    def _leave_out(self, store: FeatureStore, banks: list[Bank]) -> None:
        """Distances of every image, and of the painted ones, under models that left its fold out."""
        n = len(self._images)
        nearest, unlikely, misplaced, unlikely_painted = self._left_out_distances(store, banks)
        context = left_out_context(
            self._features,
            self._view_folds,
            lambda folds: self._progress(folds, label="calibrating", total=len(folds)),
        )
        raw = {
            "patches": np.array([mean_of_highest(d, TOP_SHARE) for d in nearest]),
            "layout": np.array([mean_of_highest(d, LAYOUT_SHARE) for d in misplaced]),
            "context": context,
        }
        known = np.isfinite(sum(raw.values()))
        n_groups = len(np.unique(self._groups))
        scales = {view: TailScale.fit(raw[view][known]) for view in VIEWS}
        rows = np.flatnonzero(known[self._painted])  # of the painted images, as places among them
        if not len(rows):  # all learnt images are of one fold: nothing tells the views apart
            self._nothing_to_leave_out()
            return
        first = self._painted[rows]
        copies = np.stack([
            banks[self._folds[i]].nearest(x).reshape(self.grid)
            for i, x in zip(self._painted, self._patches_painted, strict=True)
        ])  # fmt: skip
        coarse = (Spread.of(nearest[known]), Spread.of(unlikely[known]))
        mixers: dict[float, MapMixer] = {}
        trials = []
        for regularisation in FINE_REGULARISATIONS[: None if self._fine is not None else 1]:
            before, after = self._fine_trials(regularisation)
            normal = Grids(nearest[first], unlikely[first], None if before is None else before[rows])
            marked = Grids(copies, unlikely_painted, after)
            spread = Spread(0.0, 1.0) if normal.fine is None else Spread.of(normal.fine)
            mixer = MapMixer(self._maps, self._fine_maps, (*coarse, spread))
            trials += mixer.trials(normal, marked, self._masks, regularisation=regularisation)
            mixers[regularisation] = mixer
        best = choose(trials)
        self._fine_regularisation, mixer = best.regularisation, mixers[best.regularisation]
        gap = float(nearest[known].mean()) / self._apart
        plain = [place for place in range(len(copies)) if painted_kind(place) != "speck"]
        plainly_seen = auroc(
            raw["patches"][first], np.array([mean_of_highest(copies[place], TOP_SHARE) for place in plain])
        )
        counts, varied = weights(
            layout=self._s.layout,
            context=self._s.context,
            n_groups=n_groups,
            gap=gap,
            painted_auroc=plainly_seen,
        )
        self._terms = mixer.terms(best.mix)
        self.fusion = Fusion(scales, counts)
        self.chosen = {
            "weights": counts,
            "gap": gap,
            "plain_defects_auroc": plainly_seen,
            "varied": varied,
            "map": list(best.mix),
            "fine_regularisation": best.regularisation,
            "trials": [[*t.mix, t.overlap, t.image_auroc, t.regularisation] for t in trials],
            "why": reason(best, trials) + (f"; {_VARIED}" if varied >= 0.5 else ""),
        }
        scores = np.full(n, np.nan)
        maxima = np.full((n, 1, 1), np.nan, np.float32)
        for i, fine in self._left_out_fine(known, used=best.mix[2] > 0):
            scores[i] = self.fusion.score({view: float(raw[view][i]) for view in VIEWS})
            one = Grids(nearest[i][None], unlikely[i][None], fine)
            maxima[i] = mixer.maps(one, best.mix)[0].max()
        self.scores = Scores(scores, maxima)

    def _fine_trials(self, regularisation: float) -> tuple[Floats, Floats] | tuple[None, None]:
        """Left-out fine distances of the painted images before and after, [n, h, w] each."""
        if self._fine is None or self._fine_maps is None:
            return None, None
        before, after = [], []
        models = self._left_out_fine_models(regularisation)
        for i, pair in zip(self._painted, self._fine_pairs, strict=True):
            model = models[self._view_folds[i]]
            normal, painted = (model.distances(x).reshape(self._fine_maps.grid) for x in pair)
            before.append(normal)
            after.append(painted)
        return np.array(before), np.array(after)

    def _left_out_fine_models(self, regularisation: float) -> list[SharedGaussians]:
        """One per fold, whose means have not learnt from it."""
        assert self._fine is not None
        folds = range(int(self._view_folds.max()) + 1)
        return [self._fine.gaussians(fold, regularisation=regularisation) for fold in folds]

    def _left_out_fine(self, known: NDArray[np.bool_], *, used: bool) -> Iterator[tuple[int, Floats | None]]:
        """The known images and, where they are used, their left-out fine distances [1, h, w].

        Those take a second pass of the network: held, they would fill more memory than all else.
        """
        if not used or self._fine_maps is None:
            yield from ((int(i), None) for i in np.flatnonzero(known))
            return
        models = self._left_out_fine_models(self._fine_regularisation)
        images = self._progress(self._images, label="calibrating the map", total=len(self._images))
        for i, image in enumerate(images):
            if known[i]:
                distances = models[self._view_folds[i]].distances(_rows(self.network(image)[3]))
                yield i, distances.reshape(1, *self._fine_maps.grid)

    def _left_out_distances(
        self, store: FeatureStore, banks: list[Bank]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Distances of patches and detail [n, h, w], layout [n, p], and detail of the painted [a, h, w].

        NaN for images that take no part.
        """
        images, n, (h, w) = self._images, len(self._images), self.grid
        wanted, learnt = self._wanted, self._learnt
        nearest, unlikely = (np.full((n, h, w), np.nan, np.float32) for _ in range(2))
        found, marked = self._detail.left_out()
        unlikely[learnt] = found.reshape(-1, h, w)
        found, _ = self._layout.left_out()
        misplaced = np.full((n, found.shape[1]), np.nan, np.float32)
        misplaced[learnt] = found
        unlikely[~wanted], misplaced[~wanted] = np.nan, np.nan
        marked = marked.reshape(-1, h, w)
        if not store.reduced and len(learnt) == n:
            known = np.flatnonzero(wanted).tolist()
            for i in self._progress(known, label="calibrating", total=len(known)):
                nearest[i] = banks[self._folds[i]].nearest(store.image(i, h * w)).reshape(h, w)
            return nearest, unlikely, misplaced, marked
        # More images than are held: a second pass. Detail and layout have not learnt from the others.
        others = np.ones(n, bool)
        others[learnt] = False
        for i, image in enumerate(self._progress(images, label="calibrating", total=n)):
            if not wanted[i]:
                continue
            embedding, detail, *_ = self.network(image)
            nearest[i] = banks[self._folds[i]].nearest(_rows(embedding)).reshape(h, w)
            if others[i]:
                unlikely[i] = self._detail.distances(_rows(detail)).reshape(h, w)
                misplaced[i] = self._layout.distances(_rows(every_second(embedding)))
        return nearest, unlikely, misplaced, marked

    def _nothing_to_leave_out(self) -> None:
        """Too few groups to weigh anything by: the plain distances of patches alone.

        Of two groups an inspector calibrates by models of one each: their scores need one unit.
        """
        n = len(self._images)
        self._terms = MapTerms((1.0, 0.0, 0.0), 0.0)
        self.fusion = Fusion(None, {view: float(view == "patches") for view in VIEWS})
        self.chosen = {"why": "too few independent images leave nothing to choose by: patches alone"}
        self.scores = Scores(np.full(n, np.nan), np.full((n, 1, 1), np.nan, np.float32))


def _rows(grid: NDArray[Any]) -> NDArray[Any]:
    """[h, w, c] → [h · w, c]."""
    return grid.reshape(-1, grid.shape[-1])


def fine_taps(card: BackboneCard) -> tuple[str, ...]:
    """The backbone's taps at the fine view's strides; none where it lacks one of them."""
    usual = tuple(f"stride{stride}" for stride in FINE_STRIDES)
    return usual if set(usual) <= {tap.name for tap in card.taps} else ()

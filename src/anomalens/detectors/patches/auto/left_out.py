"""Normal images, and defects painted on them, as models see them that have not learnt from their group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.embedding import DETAIL as DETAIL_FEATURES
from anomalens.backbones.embedding import EMBEDDING
from anomalens.backbones.embedding import FINE as FINE_FEATURES
from anomalens.detectors.patches.auto.context import left_out_context
from anomalens.detectors.patches.auto.learning import Learning
from anomalens.detectors.patches.auto.names import CONTEXT, DETAIL, FINE, LAYOUT, NEAREST, PATCHES, VIEWS
from anomalens.detectors.patches.auto.reading import LAYOUT_STEP, rows_of, seen
from anomalens.detectors.patches.auto.tail_fusion import LAYOUT_SHARE, TOP_SHARE
from anomalens.detectors.patches.detector import LeftOut
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.maps import Drawing, mean_of_highest
from anomalens.detectors.patches.views.shared_gaussians import SharedGaussians
from anomalens.detectors.patches.views.view import Floats

Grids = Mapping[str, Floats]  # distances of some images [n, h, w] by view

_LABEL: Final = "calibrating"


@dataclass(frozen=True)
class LeftOutDistances:
    """Distances of the views; NaN for images that take no part.

    Attributes
    ----------
    normal : mapping of view to float32 [n, h, w]
        Patches and detail of the images.
    painted : mapping of view to float32 [k, h, w]
        The same of the painted copies.
    raw : mapping of view to float64 [n]
        The score's views.
    known : bool [n]
        Images with all of them.
    """

    normal: Grids
    painted: Grids
    raw: Mapping[str, NDArray[np.float64]]
    known: NDArray[np.bool_]

    @classmethod
    def measure(cls, at_hand: Learning, banks: Sequence[Bank]) -> LeftOutDistances:
        """With one bank for each fold."""
        plan, painted = at_hand.plan, at_hand.reading.painted
        n, (h, w) = len(plan.groups), at_hand.reading.memory.grid
        patches = np.full((n, h, w), np.nan, np.float32)
        detail = np.full((n, h, w), np.nan, np.float32)
        learnt, marked = at_hand.detail.left_out()
        detail[plan.learnt] = learnt.reshape(-1, h, w)
        learnt, _ = at_hand.layout.left_out()
        layout = np.full((n, learnt.shape[1]), np.nan, np.float32)
        layout[plan.learnt] = learnt
        for values in (detail, layout):
            values[~plan.wanted] = np.nan
        _search(at_hand, banks, patches, detail, layout)
        copies = [
            banks[plan.folds[i]].distances(x).reshape(h, w)
            for i, x in zip(painted.rows, painted.patches, strict=True)
        ]
        raw = {
            PATCHES: np.array([mean_of_highest(d, TOP_SHARE) for d in patches]),
            LAYOUT: np.array([mean_of_highest(d, LAYOUT_SHARE) for d in layout]),
            CONTEXT: left_out_context(at_hand.reading.pooled, plan.view_folds, at_hand.job.progress),
        }
        return cls(
            {NEAREST: patches, DETAIL: detail},
            {NEAREST: np.array(copies), DETAIL: marked.reshape(-1, h, w)},
            raw,
            np.isfinite(sum(raw.values())),
        )

    def images(
        self, at_hand: Learning, drawing: Drawing, fine: Sequence[SharedGaussians]
    ) -> Iterator[LeftOut]:
        """The known images' raw scores, and the maxima of their maps, with a fine model for each fold.

        Fine distances take a second pass of the network: held, they would fill more memory than all else.
        """

        def one(i: int, more: Grids) -> LeftOut:
            grids = {view: values[i] for view, values in self.normal.items()} | dict(more)
            raw = {view: float(self.raw[view][i]) for view in VIEWS}
            return LeftOut(i, raw, float(drawing(grids).max()))

        if FINE not in {term.view for term in drawing.terms}:
            yield from (one(int(i), {}) for i in np.flatnonzero(self.known))
            return
        images, plan = at_hand.images, at_hand.plan
        steps = at_hand.job.progress(images, label="calibrating the map", total=len(images))
        for i, image in enumerate(steps):
            if self.known[i]:
                features = rows_of(seen(at_hand.network, image)[FINE_FEATURES])
                distances = fine[plan.view_folds[i]].distances(features)
                yield one(i, {FINE: distances.reshape(at_hand.reading.fine_grid)})


def _search(
    at_hand: Learning, banks: Sequence[Bank], patches: Floats, detail: Floats, layout: Floats
) -> None:
    """Fill in the patches of all wanted images, and what detail and layout say of those they have not learnt.

    Where more images were read than are held, they are read once more.
    """
    plan, store, job = at_hand.plan, at_hand.reading.memory.store, at_hand.job
    n, h, w = patches.shape
    if not store.reduced and len(plan.learnt) == n:
        known = np.flatnonzero(plan.wanted).tolist()
        for i in job.progress(known, label=_LABEL, total=len(known)):
            patches[i] = banks[plan.folds[i]].distances(store.image(i, h * w)).reshape(h, w)
        return
    others = np.ones(n, bool)
    others[plan.learnt] = False
    for i, image in enumerate(job.progress(at_hand.images, label=_LABEL, total=n)):
        if not plan.wanted[i]:
            continue
        given = seen(at_hand.network, image)
        embedding = given[EMBEDDING]
        patches[i] = banks[plan.folds[i]].distances(rows_of(embedding)).reshape(h, w)
        if others[i]:
            detail[i] = at_hand.detail.distances(rows_of(given[DETAIL_FEATURES])).reshape(h, w)
            layout[i] = at_hand.layout.distances(rows_of(embedding[::LAYOUT_STEP, ::LAYOUT_STEP]))

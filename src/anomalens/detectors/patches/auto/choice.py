"""How `auto` weighs its views and draws its map, by what normal and painted images show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.patches.auto.learning import Learning
from anomalens.detectors.patches.auto.left_out import LeftOutDistances
from anomalens.detectors.patches.auto.map_choice import Spread, Trial, choose, reason, trials
from anomalens.detectors.patches.auto.names import FINE, NEAREST, PATCHES, VIEWS
from anomalens.detectors.patches.auto.painted import painted_kind
from anomalens.detectors.patches.auto.tail_fusion import TOP_SHARE, TailFusion
from anomalens.detectors.patches.auto.weights import weights
from anomalens.detectors.patches.views.maps import Drawing, MapMaker, Term, mean_of_highest
from anomalens.detectors.patches.views.shared_gaussians import SharedGaussians
from anomalens.metrics.ranking import auroc

_VARIED: Final = (
    "the images show different things (painted defects hide among the patches of other normal images), so "
    "the picture as a whole counts more"
)


@dataclass(frozen=True)
class Choice:
    """What evidence decided.

    Attributes
    ----------
    drawing : Drawing
    fusion : TailFusion
    said : dict
        What was chosen and why, in plain numbers and one sentence.
    """

    drawing: Drawing
    fusion: TailFusion
    said: dict[str, Any]

    @classmethod
    def patches_alone(cls, maker: MapMaker) -> Self:
        """Too few groups to weigh anything by: the plain distances of patches alone.

        With two groups an inspector calibrates by models of one each: their scores need one unit.
        """
        return cls(
            Drawing((Term(NEAREST, 1.0, maker),)),
            TailFusion(None, {view: float(view == PATCHES) for view in VIEWS}),
            {"why": "too few independent images leave nothing to choose by: patches alone"},
        )

    @classmethod
    def by_evidence(cls, at_hand: Learning, found: LeftOutDistances, rows: NDArray[np.int64]) -> Self:
        """From the painted images at these rows of `painted`."""
        first = at_hand.reading.painted.rows[rows]
        tried = _trials(at_hand, found, rows)
        best = choose(tried)
        gap = float(found.normal[NEAREST][found.known].mean()) / at_hand.reading.apart
        marked = found.painted[NEAREST]
        plain = [place for place in range(len(marked)) if painted_kind(place) != "speck"]
        tops = np.array([mean_of_highest(marked[place], TOP_SHARE) for place in plain])
        plainly_seen = auroc(found.raw[PATCHES][first], tops)
        counts, varied = weights(
            layout=at_hand.settings.layout,
            context=at_hand.settings.context,
            n_groups=len(np.unique(at_hand.plan.groups)),
            gap=gap,
            painted_auroc=plainly_seen,
        )
        said = {
            "weights": counts,
            "gap": gap,
            "plain_defects_auroc": plainly_seen,
            "varied": varied,
            "map": list(best.mix),
            "trials": [[*t.mix, t.overlap, t.image_auroc] for t in tried],
            "why": reason(best, tried) + (f"; {_VARIED}" if varied >= 0.5 else ""),
        }
        scales = {view: TailScale.fit(found.raw[view][found.known]) for view in VIEWS}
        return cls(best.drawing, TailFusion(scales, counts), said)


def fine_models(at_hand: Learning) -> list[SharedGaussians]:
    """One for each fold, whose means have not learnt from it; none without a fine view."""
    fine = at_hand.reading.fine
    if fine is None:
        return []
    folds = range(int(at_hand.plan.view_folds.max()) + 1)
    return [fine.gaussians(fold) for fold in folds]


def _trials(at_hand: Learning, found: LeftOutDistances, rows: NDArray[np.int64]) -> list[Trial]:
    painted, grid = at_hand.reading.painted, at_hand.reading.fine_grid
    spreads = {view: Spread.of(distances[found.known]) for view, distances in found.normal.items()}
    normal = {view: distances[painted.rows[rows]] for view, distances in found.normal.items()}
    marked = dict(found.painted)
    if grid is not None:
        models, folds = fine_models(at_hand), at_hand.plan.view_folds[painted.rows]
        pairs = np.array(
            [
                [models[fold].distances(x).reshape(grid) for x in pair]
                for fold, pair in zip(folds, painted.fine, strict=True)
            ]
        )
        normal[FINE], marked[FINE] = pairs[rows, 0], pairs[:, 1]
        spreads[FINE] = Spread.of(normal[FINE])
    return trials(normal, marked, painted.masks, spreads, at_hand.makers)

"""How `auto` draws its map from its views, by evidence from painted defects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.auto.names import DETAIL, FINE, NEAREST
from anomalens.detectors.patches.views.maps import Drawing, MapMaker, Term
from anomalens.detectors.patches.views.view import Floats
from anomalens.metrics.pixel_figures import region_overlap
from anomalens.metrics.ranking import auroc

Mix = tuple[float, float, float]  # shares of patches, detail and fine in a map
Grids = Mapping[str, Floats]  # distances of some images [n, h, w] by view

# Detail and fine alone outline best on papers, with some of the patches on objects and circuit boards; more
# of the fine view loses on magnetic tiles, whose faults are wide.
MIXES: Final[tuple[Mix, ...]] = (
    (1.0, 0.0, 0.0),
    (1 / 2, 1 / 2, 0.0),
    (0.0, 1.0, 0.0),
    (1 / 2, 1 / 4, 1 / 4),
    (1 / 3, 1 / 3, 1 / 3),
    (1 / 6, 1 / 3, 1 / 2),
    (0.0, 2 / 3, 1 / 3),
    (0.0, 1 / 2, 1 / 2),
)
_NORMAL_PIXELS: Final = 500_000


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a view's distances on left-out normal images."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, distances: Floats) -> Spread:
        return cls(float(distances.mean()), max(float(distances.std()), 1e-9))


@dataclass(frozen=True)
class Trial:
    """One way to draw a map: how well it outlines painted defects, and ranks the painted images."""

    mix: Mix
    overlap: float
    image_auroc: float
    drawing: Drawing


def drawing_of(mix: Mix, spreads: Mapping[str, Spread], makers: Mapping[str, MapMaker]) -> Drawing:
    """A map in standard deviations of normal patches, each view by its share in the mix."""
    terms, offset = [], 0.0
    for view, share in zip((NEAREST, DETAIL, FINE), mix, strict=True):
        if share:
            weight = share / spreads[view].deviation
            terms.append(Term(view, weight, makers[view]))
            offset -= weight * spreads[view].mean
    return Drawing(tuple(terms), offset)


def trials(
    normal: Grids,
    marked: Grids,
    masks: Sequence[NDArray[np.bool_]],
    spreads: Mapping[str, Spread],
    makers: Mapping[str, MapMaker],
) -> list[Trial]:
    """Every mix of the views that there are, tried on normal images and on the same with painted defects."""
    found = []
    for mix in MIXES:
        if mix[2] and FINE not in spreads:
            continue
        drawing = drawing_of(mix, spreads, makers)
        plain, drawn = _maps(drawing, normal), _maps(drawing, marked)
        # what lies around a defect is normal too: a map that smears must pay for it
        around = [m[~mask] for m, mask in zip(drawn, masks, strict=True)]
        pixels = np.concatenate([*(m.ravel() for m in plain), *around])
        step = max(1, len(pixels) // _NORMAL_PIXELS)
        overlap = region_overlap(pixels[::step], [m[mask] for m, mask in zip(drawn, masks, strict=True)])
        tops = [np.array([float(m.max()) for m in maps]) for maps in (plain, drawn)]
        found.append(Trial(mix, overlap, auroc(tops[0], tops[1]), drawing))
    return found


def _maps(drawing: Drawing, grids: Grids) -> list[Floats]:
    count = len(grids[NEAREST])
    return [drawing({view: values[i] for view, values in grids.items()}) for i in range(count)]


def choose(found: Sequence[Trial]) -> Trial:
    """The best outline; of equal ones, the best ranking."""
    return max(found, key=lambda trial: (trial.overlap, trial.image_auroc))


def reason(best: Trial, found: Sequence[Trial]) -> str:
    """Why this mix, in a sentence."""
    shares = ", ".join(
        f"{share:.0%} {view}" for share, view in zip(best.mix, ("patches", "detail", "fine"), strict=True)
    )
    return (
        f"a map of {shares} outlines {best.overlap:.1%} of painted defects where patches alone outline "
        f"{found[0].overlap:.1%}"
    )

"""How `auto` draws its map from its views, by evidence from painted defects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.evidence import Mix, Trial, auroc, region_overlap
from anomalens.detectors.patches.maps import MapMaker

Floats = NDArray[np.float32]

# Shares of patches, detail and fine in the map. Detail and fine alone outline best on papers, with some of
# the patches on objects and circuit boards; more of the fine view loses on magnetic tiles, whose faults are
# wide.
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
# Of the fine view, as a share of the mean variance: halfway to Euclid's distance, which outlines best on
# papers, bricks and tiles, or nearly Mahalanobis', which does on circuit boards.
FINE_REGULARISATIONS: Final = (1.0, 0.03)
_NORMAL_PIXELS: Final = 500_000


@dataclass(frozen=True)
class Grids:
    """Distances of some images in each view: [n, h, w], [n, h, w] and [n, h', w'], or no finer ones."""

    patches: Floats
    detail: Floats
    fine: Floats | None

    def __len__(self) -> int:
        return len(self.patches)


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a view's distances on left-out normal images."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, distances: Floats) -> Spread:
        return cls(float(distances.mean()), max(float(distances.std()), 1e-9))


@dataclass(frozen=True)
class MapTerms:
    """The map is the factors times the distances of patches, detail and fine, plus the offset."""

    factors: tuple[float, float, float]
    offset: float


class MapMixer:
    """Maps in standard deviations of normal patches.

    Parameters
    ----------
    coarse, fine : MapMaker
        Of the two grids; `fine` is None where there is no finer view.
    spreads : Spread of each view
    """

    def __init__(self, coarse: MapMaker, fine: MapMaker | None, spreads: Sequence[Spread]) -> None:
        self.coarse, self.fine, self._spreads = coarse, fine, tuple(spreads)

    @property
    def mixes(self) -> tuple[Mix, ...]:
        """Those that the views allow."""
        return tuple(mix for mix in MIXES if self.fine is not None or not mix[2])

    def terms(self, mix: Mix) -> MapTerms:
        """Of the distances themselves, for a mix of their deviations from the normal."""
        a, b, c = (share / spread.deviation for share, spread in zip(mix, self._spreads, strict=True))
        offset = -sum(f * spread.mean for f, spread in zip((a, b, c), self._spreads, strict=True))
        return MapTerms((a, b, c), offset)

    def maps(self, grids: Grids, mix: Mix) -> list[Floats]:
        """One [height, width] an image."""
        terms = self.terms(mix)
        a, b, c = terms.factors
        drawn = []
        for i in range(len(grids)):
            one = self.coarse(a * grids.patches[i] + b * grids.detail[i] + np.float32(terms.offset))
            if c and self.fine is not None and grids.fine is not None:
                one = one + self.fine(c * grids.fine[i])
            drawn.append(one)
        return drawn

    def trials(
        self, normal: Grids, painted: Grids, masks: Sequence[NDArray[np.bool_]], *, regularisation: float
    ) -> list[Trial]:
        """Every mix, tried on painted images; with the fine view's second metric only those that use it."""
        found = []
        for mix in self.mixes:
            if regularisation != FINE_REGULARISATIONS[0] and not mix[2]:
                continue
            plain, marked = self.maps(normal, mix), self.maps(painted, mix)
            # what lies around a defect is normal too: a map that smears must pay for it
            around = [m[~mask] for m, mask in zip(marked, masks, strict=True)]
            pixels = np.concatenate([*(m.ravel() for m in plain), *around])
            step = max(1, len(pixels) // _NORMAL_PIXELS)
            overlap = region_overlap(pixels[::step], [m[mask] for m, mask in zip(marked, masks, strict=True)])
            tops = [np.array([float(m.max()) for m in maps]) for maps in (plain, marked)]
            found.append(Trial(mix, overlap, auroc(tops[0], tops[1]), regularisation))
        return found


def reason(best: Trial, trials: Sequence[Trial]) -> str:
    """Why this mix, in a sentence."""
    alone = trials[0]
    shares = ", ".join(
        f"{share:.0%} {view}" for share, view in zip(best.mix, ("patches", "detail", "fine"), strict=True)
    )
    return (
        f"a map of {shares} outlines {best.overlap:.1%} of painted defects where patches alone outline "
        f"{alone.overlap:.1%}"
    )

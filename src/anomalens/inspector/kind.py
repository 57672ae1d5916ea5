"""The kind of picture that a model learnt from: what of an image, and of a whole batch, lies far from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

import numpy as np

from anomalens.images.facts import NAMES, Facts

BLANK: Final = (
    "The picture is blank: all its rows are alike, or all its columns. A score says little of it; look at "
    "the camera and the light."
)
_TIMES: Final = 2.0  # larger or smaller than any that was learnt from
_SHARPER: Final = 3.0
_LEVELS: Final = 25.0  # grey levels beyond the learnt range, and its width beyond it
_GREY, _COLOURED = 2.0, 8.0  # of `Facts.colour`: at most, and at least
_LOW, _HIGH = 0.05, 0.95  # quantiles between which the middle image of a batch should lie
_OF_A_DAY: Final = ("brightness", "contrast", "sharpness")
Range = tuple[float, float, float, float]


@dataclass(frozen=True)
class Kind:
    """Facts of the normal images: for each the lowest, the highest, and two quantiles between."""

    ranges: Mapping[str, Range]

    @classmethod
    def of(cls, facts: Sequence[Facts]) -> Kind:
        """From the facts of at least one image."""
        table = np.array([astuple(one) for one in facts], np.float64)
        low, high = np.quantile(table, (_LOW, _HIGH), axis=0)
        columns = zip(table.min(0), low, high, table.max(0), strict=True)
        return cls({name: _range(column) for name, column in zip(NAMES, columns, strict=True)})

    def with_more(self, other: Kind) -> Kind:
        """What images of both kinds span."""
        return Kind(
            {
                name: (min(a, e), min(b, f), max(c, g), max(d, h))
                for name, (a, b, c, d) in self.ranges.items()
                for e, f, g, h in [other.ranges[name]]
            }
        )

    def to_json(self) -> dict[str, list[float]]:
        return {name: [round(value, 4) for value in values] for name, values in self.ranges.items()}

    @classmethod
    def from_json(cls, data: Any) -> Kind | None:
        """Read a card's field; None where it has none or is no such table."""
        try:
            return cls({name: _range(data[name]) for name in NAMES})
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def notes(self, facts: Facts) -> tuple[str, ...]:
        """What makes an image another kind of picture, in one sentence; none where it is like the others."""
        differs = [text for text in (self._size(facts), self._colour(facts), *self._values(facts)) if text]
        if not differs:
            return ()
        return (f"Not the kind of picture that this model learnt from: {'; '.join(differs)}.",)

    def _size(self, facts: Facts) -> str:
        low, _, _, high = self.ranges["side"]
        if low / _TIMES <= facts.side <= high * _TIMES:
            return ""
        return f"its sides are {facts.side / (low if facts.side < low else high):.2g} times as long"

    def _colour(self, facts: Facts) -> str:
        low, _, _, high = self.ranges["colour"]
        if high <= _GREY and facts.colour >= _COLOURED:
            return "it is coloured and they were grey"
        if low >= _COLOURED and facts.colour <= _GREY:
            return "it is grey and they were coloured"
        return ""

    def _values(self, facts: Facts) -> Iterable[str]:
        low, _, _, high = self.ranges["brightness"]
        reach = max(_LEVELS, high - low)
        if not low - reach <= facts.brightness <= high + reach:
            yield f"its brightness is {facts.brightness:.0f} and theirs {low:.0f} to {high:.0f} of 255"
        low, _, _, high = self.ranges["sharpness"]
        if not low / _SHARPER <= facts.sharpness <= max(high, 1.0) * _SHARPER:
            yield f"its neighbours differ by {facts.sharpness:.1f} and theirs by {low:.1f} to {high:.1f}"

    def shifted(self, facts: Sequence[Facts]) -> list[str]:
        """What of a batch's middle image lies beyond nearly all normal ones, with figures."""
        found = []
        for name in _OF_A_DAY:
            lowest, low, high, highest = self.ranges[name]
            middle = float(np.median([getattr(one, name) for one in facts]))
            margin = (high - low) / 4
            if not low - margin <= middle <= high + margin:
                found.append(f"{name} {middle:.3g} where {lowest:.3g} to {highest:.3g} was learnt")
        return found


def notes_of(facts: Facts, kind: Kind | None) -> tuple[str, ...]:
    """What is odd of an image beside its score: that it is blank, where normal ones are not, or its kind."""
    if facts.blank and (kind is None or not kind.ranges["blank"][3]):
        return (BLANK,)
    return () if kind is None else kind.notes(facts)


def _range(values: Iterable[Any]) -> Range:
    lowest, low, high, highest = (float(value) for value in values)
    return lowest, low, high, highest

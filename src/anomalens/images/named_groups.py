"""Which images show one thing, read from the names that published datasets give them.

Images of one group must not be on both sides of a split: a model that knows a tile under one light
knows it under all, and a patient's blood looks like that patient's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from anomalens.images.image_set import ImageSet

TILE_GAP: Final = 50
"""Largest gap between capture numbers of one magnetic tile (six exposures in quick succession)."""

_TILE: Final = re.compile(r"(?:^|/)exp\d+_num_(\d+)(?:_mask)?\.[A-Za-z]+$")
_PATIENT: Final = re.compile(r"(?:^|/)(C\d+(?:P\d+)?)[A-Za-z]*_?(?:thin|IMG)", re.IGNORECASE)

_VIEW: Final = re.compile(r"(?:^|/)([^/]+_\d+_(?:OK|NG(?:_[A-Z]+)?))_C\d_\d+\.[A-Za-z]+$")


def tile_groups(names: Sequence[str]) -> list[str | None]:
    """Groups of magnetic tiles `expE_num_N`: numbers chained by gaps of at most 50 are one tile."""
    numbers = {i: int(found[1]) for i, name in enumerate(names) if (found := _TILE.search(name))}
    groups: list[str | None] = [None] * len(names)
    first = last = -TILE_GAP - 1
    for index in sorted(numbers, key=numbers.__getitem__):
        if numbers[index] - last > TILE_GAP:
            first = numbers[index]
        last = numbers[index]
        groups[index] = f"tile-{first}"
    return groups


def patient_groups(names: Sequence[str]) -> list[str | None]:
    """Groups of malaria cells by patient: `C100P61ThinF_IMG_…` is `C100P61`."""
    return [found[1].upper() if (found := _PATIENT.search(name)) else None for name in names]


def view_groups(names: Sequence[str]) -> list[str | None]:
    """Groups of parts that five cameras see (Real-IAD): `toy_0001_OK_C3_20231021.jpg` is `toy_0001_OK`."""
    return [found[1] if (found := _VIEW.search(name)) else None for name in names]


def groups_by_name(names: Sequence[str]) -> list[str | None] | None:
    """Groups by whichever convention nearly all names follow; None where they follow none."""
    for rule, pattern in ((tile_groups, _TILE), (patient_groups, _PATIENT), (view_groups, _VIEW)):
        # a few files of another kind (notes, previews) do not void a convention
        if names and sum(bool(pattern.search(name)) for name in names) >= 0.9 * len(names):
            return rule(names)
    return None


def add_groups(*sets: ImageSet) -> tuple[ImageSet, ...]:
    """The sets with groups by name, found over all of them together; declared groups stay."""
    groups = groups_by_name([entry.id for one in sets for entry in one])
    if groups is None:
        return sets
    given = iter(groups)
    return tuple(
        replace(
            one,
            entries=tuple(
                replace(entry, group=entry.group or group)
                for entry, group in zip(one, (next(given) for _ in one.entries), strict=True)
            ),
        )
        for one in sets
    )

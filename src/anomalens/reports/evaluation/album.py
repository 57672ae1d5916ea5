"""Pictures for a report: the worst misses and false alarms, as they are and with their heat maps.

They are taken while an evaluation runs, when each finding has its map, and kept as small JPEGs: of each group
as many as a report shows, and of all cards together within a budget of bytes.
"""

from __future__ import annotations

import io
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from anomalens.calibration import Calibration
from anomalens.datasets.masks import read_mask
from anomalens.errors import AnomalensError
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.images import ImageEntry
from anomalens.images.labels import GOOD
from anomalens.inspector import Finding
from anomalens.reports.evaluation.numbers import CardNumbers, Group, group_of, telling
from anomalens.reports.parts.colours import ColourScale
from anomalens.reports.parts.overlay import picture_to_show, plain_picture, render_overlay

LONGEST: Final = 400  # px
POOL_BYTES: Final = 16_000_000
_QUALITY: Final = 80
_MARK: Final = (80, 255, 120)
_DARK: Final = (10, 30, 15)

_KEPT: Final[dict[Group, int]] = {"miss": 6, "false-alarm": 6, "found": 3, "quiet": 3}


@dataclass(frozen=True)
class Exhibit:
    """One image of a report, as it is and with its heat map: JPEGs of `size` (width, height).

    The overlay is empty for detectors without maps; `outlined` tells whether the plain picture has the true
    defect's outline.
    """

    image: str
    plain: bytes
    overlay: bytes
    size: tuple[int, int]
    outlined: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes on a page, where pictures are written in base64."""
        return 4 * (len(self.plain) + len(self.overlay)) // 3 + 1000


def chosen(numbers: CardNumbers) -> list[tuple[Group, ImageScore]]:
    """The images worth showing: misses and false alarms in turn, or those nearest to one."""
    shown: list[Group] = [
        "miss" if numbers.groups["miss"] else "found",
        "false-alarm" if numbers.groups["false-alarm"] else "quiet",
    ]
    shown.sort(key=lambda group: _KEPT[group], reverse=True)
    return [
        (group, numbers.groups[group][i])
        for i in range(max(_KEPT.values()))
        for group in shown
        if i < min(_KEPT[group], len(numbers.groups[group]))
    ]


class Album:
    """Takes pictures while evaluations run, one after the other.

    It keeps `pool_bytes` for all cards together; the least telling pictures of each card give way first.
    """

    def __init__(self, *, pool_bytes: int = POOL_BYTES) -> None:
        self._pool = pool_bytes
        self._seen = 0
        # of the running evaluation, by group: how telling (lowest first), order, the pictures
        self._running: dict[Group, list[tuple[float, int, Exhibit]]] = {}
        self._kept: list[tuple[ResultCard, list[Exhibit]]] = []

    def see(self, entry: ImageEntry, finding: Finding, calibration: Calibration) -> None:
        """Take a finding with its map; its pictures are kept while they are among the most telling.

        Parameters
        ----------
        entry : ImageEntry
        finding : Finding
            With the picture, or it is decoded again.
        calibration : Calibration
            The model's, which the colours of its maps follow.
        """
        if finding.score is None:
            return
        label = entry.label or GOOD
        group, place = group_of(label, bool(finding.anomalous)), telling(label, finding.score)
        members = self._running.setdefault(group, [])
        if len(members) == _KEPT[group] and members[-1][0] <= place:
            return
        try:
            exhibit = _exhibit(entry, finding, ColourScale.of(calibration))
        except AnomalensError:
            return  # it was there when it was scored: its score stands, its picture is gone
        self._seen += 1
        insort(members, (place, self._seen, exhibit), key=lambda item: item[:2])
        del members[_KEPT[group] :]

    def keep(self, card: ResultCard) -> None:
        """The evaluation is over, and this is its card: keep the pictures that its report shows."""
        taken = {exhibit.image: exhibit for group in self._running.values() for _, _, exhibit in group}
        self._running = {}
        if card.error is not None:
            return
        wanted = [taken[score.image] for _, score in chosen(CardNumbers(card)) if score.image in taken]
        self._kept.append((card, wanted))
        fits = within([kept for _, kept in self._kept], self._pool)
        for (_, kept), n in zip(self._kept, fits, strict=True):
            del kept[n:]

    def of(self, card: ResultCard) -> Sequence[Exhibit]:
        """The exhibits of a card, the most telling first; none where there are none."""
        return next((kept for taken, kept in self._kept if taken == card), [])


def within(exhibits: Sequence[Sequence[Exhibit]], budget: int) -> list[int]:
    """How many exhibits of each card fit into a budget: every card's first before any card's second."""
    counts = [0] * len(exhibits)
    longest = max((len(one) for one in exhibits), default=0)
    for place in range(longest):
        for i, one in enumerate(exhibits):
            if place < len(one) and counts[i] == place and one[place].n_bytes <= budget:
                budget -= one[place].n_bytes
                counts[i] += 1
    return counts


def _exhibit(entry: ImageEntry, finding: Finding, scale: ColourScale | None) -> Exhibit:
    picture = picture_to_show(entry, finding.picture, long_side=LONGEST)
    size = finding.original_size or picture.size
    plain = plain_picture(picture.pixels, size)
    overlay = b""
    if scale is not None and finding.map is not None:
        overlay = _jpeg(render_overlay(picture.pixels, finding, scale))
    plain.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    outlined = _outline(plain, entry, size)
    return Exhibit(entry.id, _jpeg(plain), overlay, plain.size, outlined)


def _outline(picture: Image.Image, entry: ImageEntry, size: tuple[int, int]) -> bool:
    """Draw a line around the true defect, a little outside of it; False where none is known."""
    try:
        mask = read_mask(entry, size)
    except AnomalensError:
        return False
    if mask is None or not mask.any() or mask.all():
        return False
    # reduced by "any", or a scratch thinner than a shown pixel would vanish
    shown = Image.fromarray(np.asarray(mask, np.uint8) * 255).resize(picture.size, Image.Resampling.BOX)
    there = shown.point([0] + [255] * 255)
    inner, line, outer = (there.filter(ImageFilter.MaxFilter(n)) for n in (5, 7, 9))
    for colour, grown, less in ((_DARK, outer, inner), (_MARK, line, inner)):
        ring = Image.fromarray((np.asarray(grown) > 0) & (np.asarray(less) == 0))
        picture.paste(colour, mask=ring)
    return True


def _jpeg(picture: Image.Image) -> bytes:
    small = picture.copy()
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    small.save(held, "JPEG", quality=_QUALITY, optimize=True)
    return held.getvalue()

"""Pictures for a report: the worst misses and false alarms, as they are and with their heat maps.

An evaluation keeps no maps. After it, the few images that a report shows are asked about once more and
kept as small JPEGs, within a budget of bytes over all cards.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from PIL import Image, ImageFilter

from anomalens.datasets.masks import read_mask
from anomalens.datasets.task import Task
from anomalens.errors import AnomalensError
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.images.image_entry import ImageEntry
from anomalens.inspector.finding import Finding
from anomalens.inspector.inspector import Inspector
from anomalens.reports.colours import ColourScale
from anomalens.reports.evaluation_numbers import CardNumbers
from anomalens.reports.overlay import LONG_SIDE, plain_picture, render_overlay

LONGEST: Final = 400  # px
PER_GROUP: Final = 6
NEAREST: Final = 3
POOL_BYTES: Final = 16_000_000
_QUALITY: Final = 80
_MARK: Final = (80, 255, 120)
_DARK: Final = (10, 30, 15)

Group = Literal["miss", "false-alarm", "found", "quiet"]


@dataclass(frozen=True)
class Exhibit:
    """One image of a report.

    Attributes
    ----------
    group : str
        A miss, a false alarm, or the nearest to one: what was found last, and the highest quiet normal.
    score : ImageScore
    plain, overlay : bytes
        JPEG; the overlay is empty for detectors without maps.
    size : (width, height)
        Of both, in pixels.
    outlined : bool
        Whether the plain picture has the true defect's outline.
    """

    group: Group
    score: ImageScore
    plain: bytes
    overlay: bytes
    size: tuple[int, int]
    outlined: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes on a page, where pictures are written in base64."""
        return 4 * (len(self.plain) + len(self.overlay)) // 3 + 1000


class PictureSource(Protocol):
    """Where a report gets its pictures."""

    def of(self, card: ResultCard) -> Sequence[Exhibit]:
        """The exhibits of a card, the most telling first; none where there are none."""


def chosen(numbers: CardNumbers) -> list[tuple[Group, ImageScore]]:
    """The images worth showing, misses and false alarms in turn, then the nearest to them."""
    groups: list[tuple[Group, tuple[ImageScore, ...]]] = [
        ("miss", numbers.misses[:PER_GROUP]),
        ("false-alarm", numbers.false_alarms[:PER_GROUP]),
    ]
    if not numbers.misses:
        groups.append(("found", numbers.found[:NEAREST]))
    if not numbers.false_alarms:
        groups.append(("quiet", numbers.quiet_normal[:NEAREST]))
    longest = max(len(members) for _, members in groups)
    return [(g, members[i]) for i in range(longest) for g, members in groups if i < len(members)]


class Album:
    """Takes pictures right after each evaluation, while its model and data are there.

    Parameters
    ----------
    pool_bytes : int
        Of all cards together; the least telling pictures of each card give way first.
    """

    def __init__(self, *, pool_bytes: int = POOL_BYTES) -> None:
        self._pool = pool_bytes
        self._taken: list[tuple[ResultCard, list[Exhibit]]] = []

    def add(self, card: ResultCard, inspector: Inspector, task: Task) -> None:
        """Ask about the chosen test images again and keep their pictures."""
        if card.error is not None:
            return
        places = {score.image: i for i, score in enumerate(card.scores)}
        wanted = chosen(CardNumbers(card))
        images = task.test.subset([places[score.image] for _, score in wanted])
        scale = ColourScale.of(inspector.calibration)
        exhibits = []
        for i, finding in enumerate(inspector.check(images, workers=1)):
            try:
                pixels = images.read(i, reduce_to=LONG_SIDE).pixels
            except AnomalensError:
                continue  # it was there when it was scored: its score stands, its picture is gone
            exhibits.append(_exhibit(*wanted[i], pixels, finding, scale, images[i]))
        self._taken.append((card, exhibits))
        fits = within([kept for _, kept in self._taken], self._pool)
        for (_, kept), n in zip(self._taken, fits, strict=True):
            del kept[n:]

    def of(self, card: ResultCard) -> Sequence[Exhibit]:
        """See `PictureSource`."""
        return next((kept for taken, kept in self._taken if taken == card), [])


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


def _exhibit(
    group: Group,
    score: ImageScore,
    pixels: np.ndarray,
    finding: Finding,
    scale: ColourScale | None,
    entry: ImageEntry,
) -> Exhibit:
    size = finding.original_size or (pixels.shape[1], pixels.shape[0])
    plain = plain_picture(pixels, size)
    overlay = b""
    if scale is not None and finding.map is not None:
        overlay = _jpeg(render_overlay(pixels, finding, scale))
    plain.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    outlined = _outline(plain, entry, size)
    return Exhibit(group, score, _jpeg(plain), overlay, plain.size, outlined)


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

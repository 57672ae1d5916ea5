"""One checked image on the page: its pictures and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from anomalens.inspector.finding import Finding, shares
from anomalens.reports.parts import document as doc

_REGIONS_SHOWN: Final = 4
_PARTS_SHOWN: Final = 5


@dataclass(frozen=True)
class Checked:
    """One checked image: its finding without the map, and its pictures as files below the report's folder.

    Attributes
    ----------
    index : int
        Place in the set.
    label : str or None
        What the image is known to be.
    shown : (width, height)
        How large picture and overlay are, in pixels.
    similar : dict of str to str
        Pictures of normal images, by the images' ids.
    """

    finding: Finding
    index: int
    label: str | None = None
    picture: str | None = None
    overlay: str | None = None
    shown: tuple[int, int] = (0, 0)
    similar: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The image's id, with its page where the id does not say it."""
        image, page = self.finding.image, self.finding.page
        return image if page is None or "#page" in image else f"{image} (page {page})"


def entry_of(checked: Checked) -> doc.Entry:
    """The image's entry on the page."""
    finding = checked.finding
    if finding.error is not None:
        return doc.Entry("unreadable", checked.name, "unreadable", blocks=(doc.Paragraph(finding.error),))
    blocks: list[doc.Block] = [doc.Paragraph(finding.explanation or ""), *_reasons(checked)]
    if checked.picture is None:
        blocks.insert(0, doc.Paragraph("The picture could not be read again.", "gone"))
    if finding.regions:
        blocks.append(doc.Bullets(tuple(_regions(finding)), "regions"))
    figures: list[doc.Words] = [
        ("score ", doc.Mark(f"{finding.score or 0:.4g}")),
        ("p-value ", doc.Mark(f"{finding.p_value or 0:.2g}")),
        ("above ", doc.Mark(f"{_whole(finding.percentile or 0)} %"), " of normal images"),
    ]
    if checked.label is not None:
        figures.append(("labelled ", doc.Mark(checked.label)))
    style = "flagged" if finding.anomalous else "unflagged"
    said = {"ok": "not flagged", "look": "flagged: look", "reject": "flagged: reject"}
    badge = said[finding.verdict or ("look" if finding.anomalous else "ok")]
    return doc.Entry(badge, checked.name, style, _photos(checked), tuple(figures), tuple(blocks))


def _photos(checked: Checked) -> tuple[doc.Photo, ...]:
    if checked.picture is None:
        return ()
    name = checked.finding.image
    photos = [doc.Photo(checked.picture, f"The picture {name}", "as it is", checked.shown)]
    if checked.overlay is not None:
        told = f"Heat map and regions over {name}"
        photos.append(doc.Photo(checked.overlay, told, "heat map", checked.shown))
    return tuple(photos)


def _reasons(checked: Checked) -> list[doc.Block]:
    """What adds to the score, as bars, and the most similar normal images."""
    reasons = checked.finding.reasons
    if reasons is None:
        return []
    blocks: list[doc.Block] = []
    if told := shares(reasons)[:_PARTS_SHOWN]:
        items = [
            (doc.Mark(f"{100 * share:.0f}", "bar"), f"{part.name} ", doc.Mark(f"{100 * share:.0f} %"))
            for part, share in told
        ]
        blocks.append(doc.Bullets(tuple(items), "parts"))
    if reasons.nearest:
        blocks.append(doc.Paragraph("Most similar normal images, and how far they are:", "soft"))
        near = [
            doc.Photo(checked.similar.get(one.image), "", (f"{one.image} ", doc.Mark(f"{one.distance:.3g}")))
            for one in reasons.nearest
        ]
        blocks.append(doc.Photos(tuple(near), "similar"))
    return blocks


def _regions(finding: Finding) -> list[str]:
    told = []
    for region in finding.regions[:_REGIONS_SHOWN]:
        x0, y0, x1, y1 = region.box
        told.append(f"x {x0} to {x1}, y {y0} to {y1}: {region.area} px, peak {region.peak:.3g}")
    more = len(finding.regions) - _REGIONS_SHOWN
    return [*told, f"and {more} more, weaker"] if more > 0 else told


def _whole(per_cent: float) -> str:
    # 99.6 must not become "above 100 %" of images of which some score higher.
    return "100" if per_cent >= 100 else f"{min(per_cent, 99.9):.3g}"

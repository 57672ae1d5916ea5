"""The cards of a check's page: one image, its pictures, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal

from anomalens.inspector.finding import Finding, shares

_REGIONS_SHOWN: Final = 4
_PARTS_SHOWN: Final = 5


@dataclass(frozen=True)
class Row:
    """One image of the page.

    Attributes
    ----------
    finding : Finding
        Without its map.
    index : int
        Place in the set.
    label : str or None
        What the image is known to be.
    picture, overlay : str or None
        Files below the report's folder.
    shown : (width, height)
        Of both, in pixels.
    similar : dict of str to str
        Files below the report's folder that show normal images, by the images' ids.
    """

    finding: Finding
    index: int
    label: str | None = None
    picture: str | None = None
    overlay: str | None = None
    shown: tuple[int, int] = (0, 0)
    similar: Mapping[str, str] = field(default_factory=dict)


def visible(text: str) -> str:
    """Escaped text in which control, direction and undecodable characters can be seen."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escape(shown)


def unreadable_card(row: Row) -> str:
    """The card of an image that has no answer."""
    return (
        '<article class="card unreadable"><h2><span class="badge">unreadable</span>'
        f"{image_name(row.finding)}</h2><p>{visible(row.finding.error or '')}</p></article>"
    )


def card(row: Row, kind: Literal["flagged", "unflagged"]) -> str:
    """The card of an image that has an answer."""
    finding = row.finding
    word = "flagged" if kind == "flagged" else "not flagged"
    parts = [
        f'<article class="card {kind}"><h2><span class="badge">{word}</span>',
        f"{image_name(finding)}</h2>",
        _pictures(row),
        '<p class="figures">'
        f"<span>score <b>{finding.score or 0:.4g}</b></span>"
        f"<span>p-value <b>{finding.p_value or 0:.2g}</b></span>"
        f"<span>above <b>{_whole(finding.percentile or 0)} %</b> of normal images</span>",
    ]
    if row.label is not None:
        parts.append(f"<span>labelled <b>{visible(row.label)}</b></span>")
    parts.append(f"</p><p>{visible(finding.explanation or '')}</p>")
    parts.append(_reasons(row))
    if finding.regions:
        shown = finding.regions[:_REGIONS_SHOWN]
        parts.append('<ul class="regions">')
        for region in shown:
            x0, y0, x1, y1 = region.box
            parts.append(f"<li>x {x0} to {x1}, y {y0} to {y1}: {region.area} px, peak {region.peak:.3g}</li>")
        if len(finding.regions) > len(shown):
            parts.append(f"<li>and {len(finding.regions) - len(shown)} more, weaker</li>")
        parts.append("</ul>")
    parts.append("</article>")
    return "".join(parts)


def _pictures(row: Row) -> str:
    if row.picture is None:
        return '<p class="gone">The picture could not be read again.</p>'
    size = f'width="{row.shown[0]}" height="{row.shown[1]}" loading="lazy" decoding="async"'
    wide = " wide" if row.shown[0] > 1.6 * row.shown[1] else ""
    name = visible(row.finding.image)
    shots = [(row.picture, "as it is", f"The picture {name}")]
    if row.overlay is not None:
        shots.append((row.overlay, "heat map", f"Heat map and regions over {name}"))
    return f'<div class="pair{wide}">' + "".join(
        f'<figure><a href="{escape(file)}"><img src="{escape(file)}" alt="{alt}" {size}></a>'
        f"<figcaption>{caption}</figcaption></figure>"
        for file, caption, alt in shots
    ) + "</div>"  # fmt: skip


def _reasons(row: Row) -> str:
    """What adds to the score, as bars, and the most similar normal images."""
    reasons = row.finding.reasons
    if reasons is None:
        return ""
    parts = []
    if told := shares(reasons)[:_PARTS_SHOWN]:
        parts.append('<ul class="parts">')
        for part, share in told:
            parts.append(
                f'<li><span class="share" style="width:{100 * share:.0f}%"></span>'
                f"{visible(part.name)} <b>{100 * share:.0f} %</b></li>"
            )
        parts.append("</ul>")
    if reasons.nearest:
        parts.append('<ul class="similar">')
        for near in reasons.nearest:
            file = row.similar.get(near.image)
            shot = "" if file is None else f'<img src="{escape(file)}" alt="" loading="lazy">'
            parts.append(f"<li>{shot}{visible(near.image)} <b>{near.distance:.3g}</b></li>")
        parts.append("</ul>")
    return "".join(parts)


def image_name(finding: Finding) -> str:
    """The image's id as HTML, with its page where the id does not say it."""
    page = "" if finding.page is None or "#page" in finding.image else f" (page {finding.page})"
    return f'<span class="name">{visible(finding.image)}{page}</span>'


def _whole(per_cent: float) -> str:
    # 99.6 must not become "above 100 %" of images of which some score higher.
    return "100" if per_cent >= 100 else f"{min(per_cent, 99.9):.3g}"

"""The evaluation report as one HTML file: no outside resource, one script of ours, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from anomalens import __version__
from anomalens.evaluation.cards import ResultCard
from anomalens.reports.cards import visible
from anomalens.reports.evaluation_numbers import CardNumbers
from anomalens.reports.evaluation_overview import html_overview, overview_of
from anomalens.reports.evaluation_pictures import Exhibit, PictureSource, within
from anomalens.reports.evaluation_script import POLICY, SCRIPT
from anomalens.reports.evaluation_section import failed_section, section, short_section
from anomalens.reports.evaluation_style import STYLE as OWN_STYLE
from anomalens.reports.evaluation_sweeps import sweeps, swept_of
from anomalens.reports.evaluation_texts import card_names, counted
from anomalens.reports.page_style import STYLE

MARK: Final = '<meta name="generator" content="Anomalens evaluation'
_OPEN: Final = 3
_NO_SOURCE: Final = (
    "Pictures are left out: a result card holds none. Write the report while evaluating "
    "(anomalens evaluate … --report DIR) to have them here."
)
_NO_ROOM: Final = "Pictures are left out, to keep this page small."
_SHARE_FOR_DETAIL: Final = 0.8  # of the bytes; the rest is for short sections, then for pictures


def render_report(cards: Sequence[ResultCard], *, pictures: PictureSource | None, max_bytes: int) -> str:
    """The page, at most `max_bytes` long where leaving out sections and pictures can achieve that."""
    names = card_names(cards)
    head, foot = _head(cards), _foot()
    room = max_bytes - len((head + foot).encode())
    exhibits = [list(pictures.of(card)) if pictures is not None else [] for card in cards]
    bare = _NO_SOURCE if pictures is None else "There are no pictures of these images."
    bodies, detailed = _bodies(cards, names, room, bare)
    left = room - sum(len(body.encode()) for body in bodies)
    fits = within([one if detail else [] for one, detail in zip(exhibits, detailed, strict=True)], left)
    for i, n in enumerate(fits):
        if n or (exhibits[i] and detailed[i]):
            bodies[i] = _full(cards, names, i, exhibits[i][:n], _NO_ROOM)
    return head + "".join(bodies) + _left_out(detailed, bodies) + foot


def _bodies(
    cards: Sequence[ResultCard], names: Sequence[str], room: int, bare: str
) -> tuple[list[str], list[bool]]:
    """Sections without pictures, shorter or none once the room runs out; and which are whole."""
    bodies: list[str] = []
    detailed: list[bool] = []
    used = 0
    for i, card in enumerate(cards):
        text, whole = "", False
        if card.error is not None:
            text = failed_section(card, names[i], f"card-{i + 1}")
        elif used < _SHARE_FOR_DETAIL * room:
            text = _full(cards, names, i, [], bare)
            whole = used + len(text.encode()) <= _SHARE_FOR_DETAIL * room
        if card.error is None and not whole:
            text = short_section(CardNumbers(card), names[i], f"card-{i + 1}")
        if used + len(text.encode()) > 0.95 * room:
            text = ""
        used += len(text.encode())
        bodies.append(text)
        detailed.append(whole)
    return bodies, detailed


def _full(
    cards: Sequence[ResultCard], names: Sequence[str], i: int, exhibits: Sequence[Exhibit], bare: str
) -> str:
    fold = "" if len(cards) == 1 else "open" if len(cards) <= _OPEN else "closed"
    return section(CardNumbers(cards[i]), names[i], f"card-{i + 1}", exhibits, fold=fold, why_bare=bare)


def _left_out(detailed: Sequence[bool], bodies: Sequence[str]) -> str:
    gone = sum(not body for body in bodies)
    short = sum(body.startswith('<section class="result short"') for body in bodies)
    parts = []
    if short:
        parts.append(f"{counted(short, 'section')} above shortened")
    if gone:
        parts.append(f"{counted(gone, 'card')} without a section")
    if not parts:
        return ""
    return (
        f'<p class="note">To keep this page small: {" and ".join(parts)}. Everything is in report.json; '
        "make a report of fewer cards to see it.</p>"
    )


def _head(cards: Sequence[ResultCard]) -> str:
    failed = sum(card.error is not None for card in cards)
    title = _title(cards)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
        '<meta name="color-scheme" content="light dark">',
        f'{MARK} {escape(__version__)}">',
        f"<title>{title} · Anomalens</title>",
        f"<style>{STYLE}{OWN_STYLE}</style></head><body>",
        f"<header><h1>{title}</h1>",
    ]
    if len(cards) != 1:
        tasks = len({card.title for card in cards})
        detectors = len({card.detector for card in cards})
        told = f"{counted(tasks, 'task')}, {counted(detectors, 'detector')}"
        parts.append(f'<p class="lead">{counted(len(cards), "result card")}: {told}.</p>')
        if failed:
            parts.append(f'<p class="lead unreadable">{counted(failed, "evaluation")} failed.</p>')
    parts.append(
        '<p class="lead">All figures are of raw scores. The threshold was chosen from normal training images '
        "only; test labels were used for figures alone. Intervals are 95 %.</p></header>"
    )
    if len(cards) > 1:
        parts.append(sweeps(cards))
        # choices of a sweep are many, and pairs of them more: their curves say what matters
        others = [card for card in cards if not swept_of(card.settings)]
        if others:
            parts.append(html_overview(overview_of(others)))
        parts.append("<h2>Each evaluation</h2>")
    return "\n".join(parts)


def _title(cards: Sequence[ResultCard]) -> str:
    titles = list(dict.fromkeys(card.title for card in cards))
    if len(titles) == 1:
        return f"Evaluation of {visible(titles[0])}"
    return f"Evaluation of {len(titles)} tasks"


def _foot() -> str:
    return (
        f"<footer>Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Anomalens {escape(__version__)}. Beside "
        "it: report.md, the same in Markdown, and report.json, the result cards.</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )

"""The evaluation report as one page, which leaves out what has no room, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.names import card_names
from anomalens.reports.evaluation.album import Album, Exhibit, within
from anomalens.reports.evaluation.overview import overview
from anomalens.reports.evaluation.section import brief_section, section
from anomalens.reports.evaluation.sweeps import sweeps, swept_of
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.as_html import as_html
from anomalens.reports.parts.as_markdown import as_markdown
from anomalens.reports.parts.page import html_page
from anomalens.reports.parts.texts import counted

_OPEN: Final = 3
_ABOUT: Final = (
    "All figures are of raw scores. The threshold was chosen from normal training images only; test labels "
    "were used for figures alone. Intervals are 95 %."
)
_NO_SOURCE: Final = (
    "Pictures are left out: a result card holds none. Write the report while evaluating "
    "(anomalens evaluate … --report DIR) to have them here."
)
_NO_ROOM: Final = "Pictures are left out, to keep this page small."
_NO_PICTURES: Final = "There are no pictures of these images."
# of the bytes; the rest is for short sections, then for pictures
_FOR_CURVES, _FOR_SECTIONS, _FOR_ALL = 0.3, 0.8, 0.95


class EvaluationPage:
    """The page of some cards, with the pictures of an album where there is one."""

    def __init__(self, cards: Sequence[ResultCard], album: Album | None = None) -> None:
        self._cards = cards
        self._names = card_names(cards)
        self._exhibits = [list(album.of(card)) if album is not None else [] for card in cards]
        self._bare = _NO_SOURCE if album is None else _NO_PICTURES
        titles = list(dict.fromkeys(card.title for card in cards))
        self._title = f"Evaluation of {titles[0] if len(titles) == 1 else f'{len(titles)} tasks'}"

    def markdown(self) -> str:
        """Everything, without drawings and pictures."""
        sections = [self._section(i, shown, self._bare) for i, shown in enumerate(self._exhibits)]
        return as_markdown([*self._head(curves=False), *sections])

    def html(self, *, max_bytes: int) -> str:
        """The page, at most `max_bytes` long where leaving out pictures and sections can achieve that."""
        head = as_html(self._head(curves=True))
        if _size(head) > _FOR_CURVES * max_bytes:
            head = as_html(self._head(curves=False))
        room = max_bytes - _size(self._framed([head]))
        sections: list[str] = []
        whole: list[bool] = []  # else shortened, or left out
        used = 0
        for i, (card, name) in enumerate(zip(self._cards, self._names, strict=True)):
            text = as_html([self._section(i, [], self._bare)]) if used < _FOR_SECTIONS * room else ""
            whole.append(bool(text) and used + _size(text) <= _FOR_SECTIONS * room)
            if not whole[i]:
                brief = as_html([brief_section(card, name)])
                text = brief if used + _size(brief) <= _FOR_ALL * room else ""
            used += _size(text)
            sections.append(text)
        shown = [found if whole[i] else [] for i, found in enumerate(self._exhibits)]
        for i, n in enumerate(within(shown, room - used)):
            if shown[i]:
                sections[i] = as_html([self._section(i, shown[i][:n], _NO_ROOM)])
        if more := len(whole) - sum(whole):
            told = f"{counted(more, 'evaluation')} shortened or left out to keep this page small"
            sections.append(as_html([doc.Paragraph(f"{told}; report.md and report.json have all.", "note")]))
        return self._framed([head, *sections])

    def _framed(self, parts: Sequence[str]) -> str:
        return html_page(
            self._title,
            map(doc.Html, parts),
            beside=("Beside it: report.md, the same in Markdown, and report.json, the result cards.",),
            images="data:",
            script=files(__package__).joinpath("threshold.js").read_text(encoding="utf-8"),
        )

    def _head(self, *, curves: bool) -> Iterator[doc.Block]:
        cards = self._cards
        yield doc.Heading(1, self._title)
        if len(cards) > 1:
            tasks = counted(len({card.title for card in cards}), "task")
            detectors = counted(len({card.detector for card in cards}), "detector")
            yield doc.Paragraph(f"{len(cards)} result cards: {tasks}, {detectors}.", "lead")
            if failed := sum(card.error is not None for card in cards):
                yield doc.Paragraph(f"{counted(failed, 'evaluation')} failed.", "lead unreadable")
        yield doc.Paragraph(_ABOUT, "lead")
        if len(cards) > 1:
            yield from sweeps(cards)
            # choices of a sweep are many, and pairs of them more: their curves say what matters
            if others := [card for card in cards if not swept_of(card.settings)]:
                yield from overview(others, curves=curves)
            yield doc.Heading(2, "Each evaluation")

    def _section(self, i: int, exhibits: Sequence[Exhibit], bare: str) -> doc.Block:
        fold = None if len(self._cards) == 1 else len(self._cards) <= _OPEN
        return section(self._cards[i], self._names[i], exhibits, bare=bare, fold=fold)


def _size(text: str) -> int:
    return len(text.encode())

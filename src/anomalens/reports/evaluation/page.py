"""The evaluation report as one page, which leaves out what has no room, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.names import card_names
from anomalens.reports.evaluation.album import Album, Exhibit, within
from anomalens.reports.evaluation.overview import overview
from anomalens.reports.evaluation.section import brief_section, failed_section, section
from anomalens.reports.evaluation.sweeps import sweeps, swept_of
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.as_html import as_html
from anomalens.reports.parts.as_markdown import as_markdown
from anomalens.reports.parts.page import html_page
from anomalens.reports.parts.texts import counted

_OPEN: Final = 3
_NO_SOURCE: Final = (
    "Pictures are left out: a result card holds none. Write the report while evaluating "
    "(anomalens evaluate … --report DIR) to have them here."
)
_NO_ROOM: Final = "Pictures are left out, to keep this page small."
_NO_PICTURES: Final = "There are no pictures of these images."
# of the bytes; the rest is for short sections, then for pictures
_SHARE_OF_CURVES, _SHARE_OF_SECTIONS, _SHARE_OF_ALL = 0.3, 0.8, 0.95


class EvaluationPage:
    """The page of some cards.

    Parameters
    ----------
    cards : sequence of ResultCard
        At least one.
    album : Album, optional
        Where the pictures are.
    """

    def __init__(self, cards: Sequence[ResultCard], album: Album | None = None) -> None:
        self._cards = cards
        self._names = card_names(cards)
        self._exhibits = [list(album.of(card)) if album is not None else [] for card in cards]
        self._bare = _NO_SOURCE if album is None else _NO_PICTURES
        titles = list(dict.fromkeys(card.title for card in cards))
        self._title = f"Evaluation of {titles[0] if len(titles) == 1 else f'{len(titles)} tasks'}"

    def markdown(self) -> str:
        """Everything, without drawings and pictures."""
        whole = [self._whole(i, shown, self._bare) for i, shown in enumerate(self._exhibits)]
        return as_markdown([*self._head(curves=False), *whole])

    def html(self, *, max_bytes: int) -> str:
        """The page, at most `max_bytes` long where leaving out sections and pictures can achieve that."""
        head: doc.Block = doc.Box(tuple(self._head(curves=True)))
        if _size(as_html([head])) > _SHARE_OF_CURVES * max_bytes:
            head = doc.Box(tuple(self._head(curves=False)))
        room = max_bytes - _size(self._framed([head]))
        sections, whole = self._sections(room)
        shown = [found if whole[i] else [] for i, found in enumerate(self._exhibits)]
        left = room - sum(map(_size, sections))
        for i, n in enumerate(within(shown, left)):
            if shown[i]:
                sections[i] = as_html([self._whole(i, shown[i][:n], _NO_ROOM)])
        return self._framed([head, *map(doc.Html, sections), *_left_out(whole, sections)])

    def _framed(self, blocks: Sequence[doc.Block]) -> str:
        return html_page(
            self._title,
            blocks,
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
        yield doc.Paragraph(
            "All figures are of raw scores. The threshold was chosen from normal training images only; test "
            "labels were used for figures alone. Intervals are 95 %.",
            "lead",
        )
        if len(cards) > 1:
            yield from sweeps(cards)
            # choices of a sweep are many, and pairs of them more: their curves say what matters
            if others := [card for card in cards if not swept_of(card.settings)]:
                yield from overview(others, curves=curves)
            yield doc.Heading(2, "Each evaluation")

    def _sections(self, room: int) -> tuple[list[str], list[bool]]:
        """Sections without pictures, shorter or none once the room runs out; and which are whole."""
        sections: list[str] = []
        whole: list[bool] = []
        used = 0
        for i, (card, name) in enumerate(zip(self._cards, self._names, strict=True)):
            fits, text = False, ""
            if card.error is None and used < _SHARE_OF_SECTIONS * room:
                text = as_html([self._whole(i, [], self._bare)])
                fits = used + _size(text) <= _SHARE_OF_SECTIONS * room
            if not fits:
                failed = card.error is not None
                text = as_html([failed_section(card, name) if failed else brief_section(card, name)])
            if used + _size(text) > _SHARE_OF_ALL * room:
                text = ""
            used += _size(text)
            sections.append(text)
            whole.append(fits)
        return sections, whole

    def _whole(self, i: int, exhibits: Sequence[Exhibit], bare: str) -> doc.Block:
        card, name = self._cards[i], self._names[i]
        if card.error is not None:
            return failed_section(card, name)
        fold = None if len(self._cards) == 1 else len(self._cards) <= _OPEN
        return section(card, name, exhibits, bare=bare, fold=fold)


def _left_out(whole: Sequence[bool], sections: Sequence[str]) -> Iterator[doc.Block]:
    gone = sum(not text for text in sections)
    short = len(sections) - sum(whole) - gone
    parts = [counted(short, "section") + " above shortened"] if short else []
    parts += [counted(gone, "card") + " without a section"] if gone else []
    if parts:
        yield doc.Paragraph(
            f"To keep this page small: {' and '.join(parts)}. Everything is in report.json; make a report of "
            "fewer cards to see it.",
            "note",
        )


def _size(text: str) -> int:
    return len(text.encode())

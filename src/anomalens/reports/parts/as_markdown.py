"""A document tree as Markdown: the same words, with drawings in words and without pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import assert_never

from anomalens.evaluation.names import seen
from anomalens.reports.parts import document as doc


def as_markdown(blocks: Iterable[doc.Block]) -> str:
    """The blocks, an empty line between two."""
    return "\n\n".join(_blocks(blocks)) + "\n"


def _blocks(blocks: Iterable[doc.Block]) -> Iterator[str]:
    for block in blocks:
        yield from _block(block)


def _block(block: doc.Block) -> Iterator[str]:
    match block:
        case doc.Heading(level, words):
            yield f"{'#' * level} {_inline(words)}"
        case doc.Paragraph(words):
            yield _inline(words)
        case doc.Bullets(items):
            yield "\n".join(f"- {_inline(item)}" for item in items)
        case doc.Facts(pairs):
            yield "\n".join(f"- {_plain(name)}: {_inline(text)}" for name, text in pairs)
        case doc.Table(head, rows):
            filled = [row if len(row) > 1 else (row[0], *[""] * (len(head) - 1)) for row in rows]
            lines = [f"| {' | '.join(map(_inline, row))} |" for row in (head, *filled)]
            yield "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])
        case doc.Command(text):
            yield f"    {seen(text)}"
        case doc.Drawing(_, spoken):
            yield _plain(spoken)
        case doc.Entry(badge, name, _, _, figures, inside):
            told = ", ".join(map(_inline, figures))
            yield f"- **{_plain(badge)}** {_plain(name)}" + (f": {told}" if told else "")
            yield from _blocks(inside)
        case doc.Box(inside):
            yield from _blocks(inside)
        case doc.Fold(summary, inside):
            yield from _blocks((*summary, *inside))
        case doc.Photos() | doc.Html():
            return
        case _:
            assert_never(block)


def _inline(words: doc.Words) -> str:
    return _plain(words) if isinstance(words, str) else "".join(map(_mark, words)).strip()


def _mark(part: str | doc.Mark) -> str:
    if isinstance(part, str):
        return _plain(part)
    text = _plain(part.text)
    match part.kind:
        case "strong" | "badge":
            return f"**{text}**"
        case "code":
            return f"`{seen(part.text)}`"
        case "link":
            return text
        case "under":
            return f" {text}"
        case "bar":
            return ""
        case _:
            assert_never(part.kind)


def _plain(text: str) -> str:
    """Text in which nothing is markup, to Markdown or to the HTML that may be made of it."""
    safe = seen(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", safe)

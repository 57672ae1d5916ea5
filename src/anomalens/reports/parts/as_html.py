"""A document tree as HTML: every text is escaped here, and nowhere else but in drawings."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import assert_never

from anomalens.evaluation.names import seen
from anomalens.reports.parts import document as doc


def escaped(text: str) -> str:
    """Text for HTML or SVG, in which control, direction and undecodable characters can be seen."""
    return escape(seen(text))


def as_html(blocks: Iterable[doc.Block]) -> str:
    """The blocks one after the other."""
    return "".join(map(_block, blocks))


def _block(block: doc.Block) -> str:
    match block:
        case doc.Heading(level, words, style):
            return _element(f"h{level}", style, _inline(words))
        case doc.Paragraph(words, style):
            return _element("p", style, _inline(words))
        case doc.Bullets(items, style):
            return _element("ul", style, "".join(f"<li>{_inline(item)}</li>" for item in items))
        case doc.Facts(pairs):
            told = (f"<div><dt>{escaped(name)}</dt><dd>{_inline(text)}</dd></div>" for name, text in pairs)
            return _element("dl", "facts", "".join(told))
        case doc.Table():
            return _table(block)
        case doc.Command(text):
            return f'<pre class="command"><code>{escaped(text)}</code></pre>'
        case doc.Drawing(html, _, caption, style):
            below = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
            return _element("figure", style, html + below)
        case doc.Photos(photos, style):
            return _element("div", style, "".join(map(_photo, photos)))
        case doc.Entry():
            return _entry(block)
        case doc.Box(blocks, style, tag):
            return _element(tag, style, as_html(blocks))
        case doc.Fold(summary, blocks, opened):
            state = " open" if opened else ""
            return f"<details{state}><summary>{as_html(summary)}</summary>{as_html(blocks)}</details>"
        case doc.Html(html):
            return html
        case _:
            assert_never(block)


def _element(tag: str, style: str, inside: str) -> str:
    return f'<{tag} class="{style}">{inside}</{tag}>' if style else f"<{tag}>{inside}</{tag}>"


def _inline(words: doc.Words) -> str:
    return escaped(words) if isinstance(words, str) else "".join(map(_mark, words))


def _mark(part: str | doc.Mark) -> str:
    if isinstance(part, str):
        return escaped(part)
    text = escaped(part.text)
    match part.kind:
        case "strong":
            return f"<b>{text}</b>"
        case "code":
            return f"<code>{text}</code>"
        case "link":
            return f'<a href="{text}">{text}</a>'
        case "badge":
            return f'<span class="badge {part.style}">{text}</span>'
        case "under":
            return f'<span class="under">{text}</span>'
        case "bar":
            return f'<span class="share" style="width:{text}%"></span>'
        case _:
            assert_never(part.kind)


def _table(table: doc.Table) -> str:
    # on a phone each row of a wide table is a list of its own, whose items name their column
    stacked = len(table.head) > 3 and table.style not in ("confusion", "narrow")
    heads = [f' data-head="{escaped(head)}"' if stacked and head else "" for head in table.head]
    rows = [f"<tr>{''.join(f'<th>{escaped(cell)}</th>' for cell in table.head)}</tr>"]
    for row in table.rows:
        if len(row) == 1:
            cells = f'<th colspan="{len(table.head)}" scope="rowgroup">{_inline(row[0])}</th>'
        else:
            cells = "".join(f"<td{head}>{_inline(cell)}</td>" for head, cell in zip(heads, row, strict=False))
        rows.append(f"<tr>{cells}</tr>")
    inside = f"<thead>{rows[0]}</thead><tbody>{''.join(rows[1:])}</tbody>"
    # what is wider all the same scrolls inside its own box
    style = "scroll stacked" if stacked else "scroll"
    return f'<div class="{style}">{_element("table", table.style, inside)}</div>'


def _photo(photo: doc.Photo) -> str:
    shown = ""
    if photo.source is not None:
        source = escaped(photo.source)
        size = "" if photo.size is None else f' width="{photo.size[0]}" height="{photo.size[1]}"'
        shown = f'<img src="{source}" alt="{escaped(photo.told)}"{size} loading="lazy" decoding="async">'
        if not source.startswith("data:"):  # a click opens the file
            shown = f'<a href="{source}">{shown}</a>'
    return f"<figure>{shown}<figcaption>{_inline(photo.caption)}</figcaption></figure>"


def _entry(entry: doc.Entry) -> str:
    parts = [
        f'<h3><span class="badge">{escaped(entry.badge)}</span>'
        f'<span class="name">{escaped(entry.name)}</span></h3>'
    ]
    if entry.photos:
        width, height = entry.photos[0].size or (1, 1)
        parts.append(_block(doc.Photos(entry.photos, "pair wide" if width > 1.6 * height else "pair")))
    if entry.figures:
        told = "".join(f"<span>{_inline(words)}</span>" for words in entry.figures)
        parts.append(f'<p class="figures">{told}</p>')
    return _element("article", f"entry {entry.style}", "".join(parts) + as_html(entry.blocks))

"""A page as a tree of plain records: built once, then written by `as_html` or by `as_markdown`.

Texts are held as they are; what has to be escaped or made visible is when the tree is written. A `style` is a
class of style.css and means nothing to Markdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Mark:
    """A stretch of words that stands out.

    Kinds: `strong`, `code`, `link` (to a file of this name beside the page), `badge` (a small label), `under`
    (on a line of its own below the rest), and `bar` (drawn so many per cent long; not in Markdown).
    """

    text: str
    kind: Literal["strong", "code", "link", "badge", "under", "bar"] = "strong"
    style: str = ""


Words = str | tuple[str | Mark, ...]


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3."""

    level: int
    words: Words
    style: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    words: Words
    style: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[Words, ...]
    style: str = ""


@dataclass(frozen=True)
class Facts:
    """Names, and what is said of each."""

    pairs: tuple[tuple[str, Words], ...]


@dataclass(frozen=True)
class Table:
    """A table; a row of one cell is a heading for the rows below it."""

    head: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    style: str = ""


@dataclass(frozen=True)
class Command:
    """A line to be copied into a terminal."""

    text: str


@dataclass(frozen=True)
class Drawing:
    """A figure of ours: an `<svg>`, perhaps with controls, in which every text is escaped already.

    `spoken` says in words what it shows, and is all that Markdown has of it.
    """

    html: str
    spoken: str
    caption: Words = ""
    style: str = ""


@dataclass(frozen=True)
class Photo:
    """A picture, a file beside the page or a `data:` address, or only its caption where that is gone.

    `told` says in words what it is, unless the caption does; `size` is (width, height) in pixels.
    """

    source: str | None
    told: str
    caption: Words
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Photos:
    """Pictures side by side; Markdown, which cannot hold them, leaves them out."""

    photos: tuple[Photo, ...]
    style: str = "pair"


@dataclass(frozen=True)
class Entry:
    """One image among others: verdict and name, what it looks like, its figures, what is said of it.

    Its `style` is "flagged", "unflagged" or "unreadable", which a page's filter looks at.
    """

    badge: str
    name: str
    style: str
    photos: tuple[Photo, ...] = ()
    figures: tuple[Words, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Box:
    """Blocks that are laid out together."""

    blocks: tuple[Block, ...]
    style: str = ""
    tag: Literal["div", "section", "main"] = "div"


@dataclass(frozen=True)
class Fold:
    """Blocks below a summary that opens and closes them; Markdown shows them all."""

    summary: tuple[Block, ...]
    blocks: tuple[Block, ...]
    open: bool = False


@dataclass(frozen=True)
class Html:
    """HTML of ours that means nothing outside of a page, such as a filter."""

    html: str


Block = (
    Heading | Paragraph | Bullets | Facts | Table | Command | Drawing | Photos | Entry | Box | Fold | Html
)  # fmt: skip


def with_code(sentence: str) -> Words:
    """A sentence in which commands stand between backticks."""
    parts = sentence.split("`")
    return tuple(Mark(part, "code") if i % 2 else part for i, part in enumerate(parts) if part)

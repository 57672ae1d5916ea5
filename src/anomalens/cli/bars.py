"""Progress and lines on the terminal: a bar on standard error, and nothing where no person is watching."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import click

T = TypeVar("T")

_CLEARED: Final = "\r\033[K"  # the bar is drawn again below


def bar(items: Iterable[T], *, label: str, total: int | None) -> Iterator[T]:
    """Draw a bar with the time left while the items pass."""
    if not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(
        items,
        length=total,
        label=label.ljust(22),
        file=sys.stderr,
        show_pos=True,
        item_show_func=lambda item: getattr(item, "report", None),
    ) as steps:
        yield from steps


def say(text: str, *, err: bool = False) -> None:
    """Print a line, on one of its own where a bar stands on the same terminal."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        text = _CLEARED + text
    click.echo(text, err=err)


def coloured(text: str, colour: str) -> str:
    """The text in a colour, on a terminal whose user did not ask for none (no-color.org)."""
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, fg=colour, bold=True)

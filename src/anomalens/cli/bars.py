"""Progress on the terminal: a bar on standard error, and nothing where no person is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

T = TypeVar("T")


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

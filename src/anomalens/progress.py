"""How long work reports that it moves: one callable, passed down, silent unless someone listens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Wraps an iterable and reports each step; the command line passes one that draws a bar.

    `total` is None where nobody knows how many items there will be. An item may have a text `report`, which
    is shown beside the bar.
    """

    def __call__(self, items: Iterable[T], *, label: str, total: int | None) -> Iterator[T]: ...


def silent(items: Iterable[T], *, label: str, total: int | None) -> Iterator[T]:
    """Report nothing: the default of the Python interface."""
    yield from items

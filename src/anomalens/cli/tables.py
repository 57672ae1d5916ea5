"""Tables on the terminal: texts in aligned columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def columns(rows: Iterable[list[str]]) -> Iterator[str]:
    """Lines with columns padded to one width; a shorter row's last cell runs on."""
    held = list(rows)
    count = max((len(row) for row in held), default=0)
    widths = [max((len(row[i]) for row in held if len(row) > i + 1), default=0) for i in range(count)]
    for row in held:
        padded = [cell.ljust(widths[i]) for i, cell in enumerate(row[:-1])]
        yield "  ".join([*padded, row[-1]]).rstrip()

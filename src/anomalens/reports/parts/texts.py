"""Numbers and names as short texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anomalens.metrics.verdicts import Rate


def per_cent(share: float | None) -> str:
    """A share in per cent, three digits; what is not quite 100 % never becomes 100 %."""
    if share is None:
        return "–"
    if 0.999 < share < 1:
        return f"{math.floor(1e5 * share) / 1e3:g} %"
    return f"{100 * share:.3g} %"


def rate_text(rate: Rate) -> str:
    """A share with its interval: `7 of 40 (17.5 %; 95 %: 7.3 to 32.8 %)`."""
    if rate.value is None:
        return "none there"
    return (
        f"{rate.count} of {rate.total} ({per_cent(rate.value)}; 95 %: {100 * rate.low:.3g} to "
        f"{100 * rate.high:.3g} %)"
    )


def counted(n: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    if n == 1:
        return f"1 {noun}"
    return f"{n} {noun[:-1]}ies" if noun.endswith("aly") else f"{n} {noun}s"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"

"""Numbers and names as short texts, for the page and its Markdown twin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.metrics import Rate


def figure(value: float | None) -> str:
    """A figure between 0 and 1."""
    return "–" if value is None else f"{value:.4f}"


def per_cent(share: float | None) -> str:
    """A share in per cent, three digits; what is not quite 100 % never becomes 100 %."""
    if share is None:
        return "–"
    if 0.999 < share < 1:
        return f"{math.floor(1e5 * share) / 1e3:g} %"
    return f"{100 * share:.3g} %"


def between(limits: Sequence[float] | None) -> str:
    """An interval of a figure."""
    return "" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"


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


def seen(text: str) -> str:
    """Text in which control, direction and undecodable characters can be seen."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def setting_text(value: Any) -> str:
    """A setting's value, as short as the command line has it."""
    if isinstance(value, list | tuple):
        return ",".join(setting_text(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def card_names(cards: Sequence[ResultCard]) -> list[str]:
    """The detector of each card, with the settings in which cards of one task and detector differ.

    A sweep gives many cards of one detector, task and seed: without this they would look like seeds.
    """
    flat = [_flat(card.settings) for card in cards]
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i, card in enumerate(cards):
        groups.setdefault((card.title, card.protocol, card.detector), []).append(i)
    names = [seen(card.detector) for card in cards]
    for members in groups.values():
        keys = dict.fromkeys(key for i in members for key in flat[i])
        differing = [key for key in keys if len({flat[i].get(key, "") for i in members}) > 1]
        if differing:
            for i in members:
                told = ", ".join(f"{key} {flat[i].get(key, '–')}" for key in differing[:3])
                names[i] = seen(f"{cards[i].detector} ({told})")
    return names


_NOT_CHOSEN = ("curves", "densities", "swept", "runtime_used", "fitted_size", "threads")


def _flat(settings: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in settings.items():
        if key in _NOT_CHOSEN:
            continue
        if isinstance(value, dict):
            found.update({str(inner): setting_text(item) for inner, item in value.items()})
        else:
            found[str(key)] = setting_text(value)
    return found

"""What tells result cards apart in tables: the detector, and the settings in which its cards differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from anomalens.evaluation.cards import ResultCard

_SHOWN: Final = 3  # differing settings that a name tells, unless two names would be the same
_NOT_CHOSEN: Final = (
    "curves", "densities", "part_thresholds", "swept", "runtime_used", "fitted_size", "threads",
)  # fmt: skip


def card_names(cards: Sequence[ResultCard]) -> list[str]:
    """The detector of each card, with the settings in which cards of one task and detector differ.

    A sweep gives many cards of one detector, task and seed: without this they would look like seeds. Cards
    of one task have the same name only where all chosen settings are the same.
    """
    flat = [_flat(card.settings) for card in cards]
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i, card in enumerate(cards):
        groups.setdefault((card.title, card.protocol, card.detector), []).append(i)
    names = [seen(card.detector) for card in cards]
    for members in groups.values():
        # a failed card knows only what was asked for, not the defaults: what it lacks is no difference
        whole_cards = {i for i in members if cards[i].error is None}
        differing = [
            key
            for key in dict.fromkeys(key for i in members for key in flat[i])
            if len({flat[i].get(key, "") for i in members if i in whole_cards or key in flat[i]}) > 1
        ]
        whole = len({tuple(flat[i].get(key) for key in differing) for i in members})
        shown = differing[:_SHOWN]
        if len({tuple(flat[i].get(key) for key in shown) for i in members}) < whole:
            shown = differing
        for i in members:
            told = [f"{key} {flat[i].get(key, '–')}" for key in shown if i in whole_cards or key in flat[i]]
            if told:
                names[i] = seen(f"{cards[i].detector} ({', '.join(told)})")
    return names


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

"""Cards come from files: their types are checked here, once, before anything is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ImageScore, ResultCard


def checked_card(card: ResultCard) -> ResultCard:
    """The card itself, where every value has the type that the page needs.

    Raises
    ------
    InputError
        The sentence names the card and the value.
    """
    for f in fields(card):
        value, kind = getattr(card, f.name), str(f.type)
        rule = _RULES.get(f.name) or _RULES.get(kind.partition("[")[0].partition(" ")[0], _is_text)
        if not ("None" in kind if value is None else rule(value)):
            raise InputError(
                f"The result card of {str(card.dataset)!r:.60} says {f.name} = {value!r:.60}, which is no "
                "value for it; evaluate again."
            )
    return card


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_score(score: ImageScore) -> bool:
    return (
        isinstance(score.image, str)
        and isinstance(score.label, str)
        and all(value is None or type(value) in (int, float) for value in (score.score, score.p_value))
        and (score.anomalous is None or isinstance(score.anomalous, bool))
        and (score.error is None or isinstance(score.error, str))
    )


def _is_interval(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value))


def _is_calibration(value: Any) -> bool:
    scores = value.get("scores") if isinstance(value, Mapping) else "none"
    return scores is None or (isinstance(scores, list) and all(map(_is_number, scores)))


# by the field's name, else by the beginning of its type; anything else is a text
_RULES: Final[dict[str, Callable[[Any], bool]]] = {
    "scores": lambda value: all(map(_is_score, value)),
    "confusion": lambda value: (
        isinstance(value, Mapping) and all(type(value.get(key)) is int for key in ("tp", "fp", "fn", "tn"))
    ),
    "ci": lambda value: isinstance(value, Mapping) and all(map(_is_interval, value.values())),
    "calibration": _is_calibration,
    "notes": lambda value: isinstance(value, list | tuple) and all(map(_is_text, value)),
    "Mapping": lambda value: isinstance(value, Mapping),
    "float": _is_number,
    "int": lambda value: type(value) is int,
}

"""Cards come from files: their types are checked here, once, before anything is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard

_COUNTS: Final = ("tp", "fp", "fn", "tn")


def checked_card(card: ResultCard) -> ResultCard:
    """The card itself, where every value has the type that the page needs.

    Raises
    ------
    InputError
        The sentence names the card and the value.
    """
    for f in fields(card):
        value = getattr(card, f.name)
        if not _fits(f.name, str(f.type), value):
            raise InputError(
                f"The result card of {str(card.dataset)!r:.60} says {f.name} = {value!r:.60}, which is no "
                "value for it; evaluate again."
            )
    return card


def _fits(name: str, kind: str, value: Any) -> bool:
    if value is None:
        return "None" in kind
    if name == "scores":
        return all(
            isinstance(s.image, str)
            and isinstance(s.label, str)
            and _number_or_none(s.score)
            and _number_or_none(s.p_value)
            and (s.anomalous is None or isinstance(s.anomalous, bool))
            and (s.error is None or isinstance(s.error, str))
            for s in value
        )
    if name == "confusion":
        return isinstance(value, Mapping) and all(type(value.get(key)) is int for key in _COUNTS)
    if name == "ci":
        return isinstance(value, Mapping) and all(
            isinstance(v, Sequence) and len(v) == 2 and all(_finite(x) for x in v) for v in value.values()
        )
    if name == "calibration":
        scores = value.get("scores") if isinstance(value, Mapping) else ()
        return isinstance(value, Mapping) and (
            scores is None or (isinstance(scores, list) and all(_finite(x) for x in scores))
        )
    if name == "notes":
        return isinstance(value, list | tuple) and all(isinstance(x, str) for x in value)
    if kind.startswith("Mapping"):
        return isinstance(value, Mapping)
    if kind.startswith("float"):
        return _finite(value)
    if kind.startswith("int"):
        return type(value) is int
    return isinstance(value, str)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _number_or_none(value: Any) -> bool:
    return value is None or type(value) in (int, float)

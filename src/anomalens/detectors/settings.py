"""A detector's parameters: a record that reads texts, keeps types and holds limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from anomalens.errors import SettingError, unknown_name


@dataclass(frozen=True)
class Settings:
    """Base of a detector's parameters: a frozen dataclass whose fields carry `help` and limits."""

    @classmethod
    def from_texts(cls, given: Mapping[str, str]) -> Self:
        """Build from `KEY=VALUE` texts, as the command line's `-p` gives them; see `from_values`."""
        return cls.from_values(given)

    @classmethod
    def from_values(cls, given: Mapping[str, Any]) -> Self:
        """Build from values, or from texts that are read as them.

        Raises
        ------
        SettingError
            An unknown key (the nearest is suggested), an unreadable value or one out of range.
        """
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in given.items():
            if key not in known:
                raise unknown_name("parameter", key, known)
            values[key] = _read(key, value, known[key].default) if isinstance(value, str) else value
        return cls(**values)

    def to_plain(self) -> dict[str, Any]:
        """Every parameter and its value, for cards."""
        return asdict(self)

    def __post_init__(self) -> None:
        for f in fields(self):
            low, high = f.metadata.get("range", (None, None))
            value = _typed(f.name, getattr(self, f.name), f.default)
            object.__setattr__(self, f.name, value)
            if low is None or (isinstance(value, tuple) and not value):
                continue
            for number in value if isinstance(value, tuple) else (value,):
                if not low <= number <= high:
                    raise SettingError(
                        f"The parameter {f.name} was given {number}; give a value from {low} to {high}."
                    )


def parameter(default: Any, text: str, *, limits: tuple[float, float] | None = None) -> Any:
    """A dataclass field of `Settings` with its help text and its range."""
    return field(default=default, metadata={"help": text, **({"range": limits} if limits else {})})


def _typed(key: str, value: Any, default: Any) -> Any:
    """The value in the type of the parameter's default; lists become tuples, whole numbers floats."""
    kinds = {bool: bool, int: int, float: int | float, str: str, tuple: tuple | list}
    kind = kinds.get(type(default), object)
    fits = isinstance(value, kind) and (isinstance(value, bool) <= (kind in (bool, object)))
    if fits and isinstance(default, tuple):
        fits = all(isinstance(item, type(default[0]) if default else str) for item in value)
    if not fits:
        raise SettingError(f"The parameter {key} was given {value!r:.60}; it needs a value like {default!r}.")
    return type(default)(value) if isinstance(default, float | tuple) else value


def _read(key: str, text: str, default: Any) -> Any:
    """Turn the text into the type of the parameter's default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                text.lower()
            ]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (ValueError, KeyError):
        raise SettingError(
            f"The parameter {key} was given {text!r}; it needs a value like {default!r}."
        ) from None
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text

"""Records of options: what each is for stands once, beside its default.

Command-line options, tables of suites, axes of sweeps, settings on result cards and the commands that
reproduce them are made from such records. Nothing heavy is loaded here, since help texts come from them too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, Literal

from anomalens.errors import SettingError

Role = Literal["setting", "place", "own"]


def option(
    default: Any,
    text: str,
    *,
    metavar: str | None = None,
    limits: tuple[int, int | None] | None = None,
    choices: tuple[str, ...] = (),
    role: Role = "setting",
) -> Any:
    """A field of a record of options.

    Parameters
    ----------
    default : anything
        A class is called for a new one each time.
    text : str
        What the option is for; a default that it does not name is shown behind it.
    metavar : str, optional
        What stands for the value in help texts.
    limits : (int, int or None), optional
        Between which a whole number lies; None for no upper limit.
    choices : tuple of str
        The words that it takes, where these are few.
    role : "setting", "place" or "own"
        A setting decides what is found, and is told on result cards. A place is where something is kept
        and decides nothing. What else has a role of its own is told under a key of its own, or not at all.
    """
    about = {"help": text, "metavar": metavar, "limits": limits, "choices": choices, "role": role}
    if isinstance(default, type):
        return field(default_factory=default, metadata=about)
    return field(default=default, metadata=about)


def settings_of(record: Any) -> Iterator[Field[Any]]:
    """The fields of a record, or of its class, that decide what is found."""
    return (f for f in fields(record) if f.metadata["role"] == "setting")


def plain(record: Any) -> dict[str, Any]:
    """The record as JSON has it."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}


def words(record: Any, *, leave_out: Collection[str] = ()) -> list[str]:
    """The settings that differ from their defaults, as the command line takes them."""
    found = []
    for f in settings_of(record):
        value = getattr(record, f.name)
        if f.name not in leave_out and value != f.default:
            found += [flag(f.name), text_of(value)]
    return found


def flag(name: str) -> str:
    """The name of an option on the command line."""
    return f"--{name.replace('_', '-')}"


def text_of(value: Any) -> str:
    """A value as the command line and `-p` take it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def checked(f: Field[Any], value: Any, where: str) -> Any:
    """The value of an option in a table, in the type that it needs.

    Raises
    ------
    SettingError
        It has another type; `where` names the table.
    """
    if f.metadata["limits"]:
        needed, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    else:
        needed, fits = "a text", isinstance(value, str)
    if not fits:
        raise SettingError(f"{where} has {f.name} = {value!r}; give {needed}.")
    return value


def read_text(f: Field[Any], text: str, where: str) -> Any:
    """A text as the option's value: whole numbers where it takes those."""
    if not f.metadata["limits"]:
        return text
    try:
        return int(text)
    except ValueError:
        raise SettingError(f"{where} was given {text!r}; give whole numbers.") from None


def known_options(
    record: type[Any], *, leave_out: Collection[str] = (), also: Collection[str] = ()
) -> Mapping[str, Field[Any]]:
    """By name, the settings of a record that a table may give, and others that `also` names."""
    given = [*settings_of(record), *(f for f in fields(record) if f.name in also)]
    return {f.name: f for f in given if f.name not in leave_out}

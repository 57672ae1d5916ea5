"""Exact reading of settings from JSON: every key known, every type right, or one sentence."""

from __future__ import annotations

import math
from typing import Any

from anomalens.errors import SettingError


class Fields:
    """The fields of one JSON object of a known kind.

    Parameters
    ----------
    data : object
        What `json.loads` gave.
    kind : str
        What its key `kind` must say.
    *names : str
        The other keys, all of them needed and no more allowed.

    Raises
    ------
    SettingError
        From the constructor and from every accessor.
    """

    def __init__(self, data: object, kind: str, *names: str) -> None:
        if not isinstance(data, dict) or data.get("kind") != kind:
            raise SettingError(f"{kind}: an object with kind {kind!r} is needed, not {data!r:.60}.")
        wrong = {"kind", *names} ^ set(data)
        if wrong:
            raise SettingError(
                f"{kind}: the fields {', '.join(sorted(map(str, wrong)))} are missing or unknown; "
                "the settings were made by a newer version or are damaged."
            )
        self.data: dict[str, Any] = data
        self._kind = kind

    def integer(self, name: str) -> int:
        value = self.data[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "a whole number")
        return value

    def number(self, name: str) -> float:
        value = self.data[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "a number")
        if not math.isfinite(value):
            raise self._wrong(name, "a finite number")
        return float(value)

    def text(self, name: str) -> str:
        value = self.data[name]
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def colour(self, name: str) -> tuple[int, int, int]:
        value = self.data[name]
        if not isinstance(value, list) or len(value) != 3:
            raise self._wrong(name, "a list of three whole numbers")
        if not all(isinstance(part, int) and not isinstance(part, bool) for part in value):
            raise self._wrong(name, "a list of three whole numbers")
        return value[0], value[1], value[2]

    def _wrong(self, name: str, needed: str) -> SettingError:
        return SettingError(f"{self._kind}: {name} is {self.data[name]!r:.60} and must be {needed}.")

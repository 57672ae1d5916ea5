"""Records in JSON: every key known, every value as the record's own checks want it, or one sentence."""

from __future__ import annotations

import base64
import binascii
from dataclasses import fields
from typing import Any, ClassVar, Self

from anomalens.errors import SettingError


class Recorded:
    """A dataclass that goes to JSON and back; its `__post_init__` has to check what a stranger may write."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {"kind": self.kind, **{f.name: _plain(getattr(self, f.name)) for f in fields(self)}}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `to_json` gave; `SettingError` for anything else."""
        kind, types = cls.kind, {f.name: f.type for f in fields(cls)}  # type: ignore[arg-type]
        if not isinstance(data, dict) or data.get("kind") != kind:
            raise SettingError(f"{kind}: an object with kind {kind!r} is needed, not {data!r:.60}.")
        wrong = {"kind", *types} ^ set(data)
        if wrong:
            raise SettingError(
                f"{kind}: the fields {', '.join(sorted(map(str, wrong)))} are missing or unknown; "
                "the settings were made by a newer version or are damaged."
            )
        try:
            return cls(**{n: _bytes(data[n]) if types[n] == "bytes" else _value(data[n]) for n in types})
        except (binascii.Error, ValueError, TypeError) as error:
            raise SettingError(f"{kind}: the settings are damaged ({error}); make the model again.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return list(value) if isinstance(value, tuple) else value


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)

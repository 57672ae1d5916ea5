"""The parameters of `combine`: those of its members, each by its own name or by one for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from anomalens.detectors.contract import Detector, Settings, parameter
from anomalens.errors import SettingError, unknown_name


@dataclass(frozen=True)
class CombineSettings(Settings):
    """The members' settings, in their order; a subclass knows who the members are."""

    labels: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[type[Detector], ...]] = ()

    members: tuple[Settings, ...] = parameter(
        (), "MEMBER.KEY=VALUE is for one member, KEY=VALUE for all that have the parameter"
    )

    def __post_init__(self) -> None:
        if not self.members:
            object.__setattr__(self, "members", tuple(kind.settings_type() for kind in self.kinds))
        fits = len(self.members) == len(self.kinds) and all(
            isinstance(settings, kind.settings_type)
            for settings, kind in zip(self.members, self.kinds, strict=True)
        )
        if not fits:
            raise SettingError(
                f"The members {', '.join(self.labels)} were given settings of other detectors; give each its "
                "own, in their order."
            )

    @classmethod
    def from_texts(cls, given: Mapping[str, str]) -> Self:
        """Build from texts, as `-p` gives them; see `from_values`."""
        return cls.from_values(given)

    @classmethod
    def from_values(cls, given: Mapping[str, Any]) -> Self:
        """Hand each parameter to the member it names, or to all that have it; the former wins.

        Raises
        ------
        SettingError
            No member is named so or has the parameter (the nearest is suggested), or a value is bad.
        """
        names = {label.replace("-", "_"): number for number, label in enumerate(cls.labels)}
        known = [{f.name for f in fields(kind.settings_type)} for kind in cls.kinds]
        own: list[dict[str, Any]] = [{} for _ in cls.kinds]
        common: list[dict[str, Any]] = [{} for _ in cls.kinds]
        for key, value in given.items():
            label, dot, name = key.rpartition(".")
            if dot and label.replace("-", "_") not in names:
                raise unknown_name("member", label, cls.labels)
            if dot:
                own[names[label.replace("-", "_")]][name] = value
                continue
            takers = [values for values, has in zip(common, known, strict=True) if name in has]
            if not takers:
                raise unknown_name("parameter", key, set().union(*known))
            for values in takers:
                values[name] = value
        return cls(
            tuple(
                kind.settings_type.from_values({**everyones, **mine})
                for kind, everyones, mine in zip(cls.kinds, common, own, strict=True)
            )
        )

    def to_plain(self) -> dict[str, Any]:
        """`MEMBER.KEY`: value."""
        return {
            f"{label}.{key}": value
            for label, settings in zip(self.labels, self.members, strict=True)
            for key, value in settings.to_plain().items()
        }

"""A detector's name, read once: one alone, several fused (`combine:A,B`), or one on tiles (`tiled:A`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, Final

from anomalens.detectors.contract import Detector
from anomalens.detectors.registry import OURS, load_detector
from anomalens.detectors.tiled import Tiled, TiledSettings, can_be_tiled
from anomalens.errors import SettingError, unknown_name

COMBINE: Final = "combine"  # before a colon and the names of detectors
TILED: Final = "tiled"  # before a colon and the name of one
MAX_MEMBERS: Final = 8

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class DetectorSpec:
    """Which detector is meant.

    Attributes
    ----------
    members : tuple of str
        Names as the registry knows them: one, or those that are combined.
    tiled : bool
        Whether it sees images tile by tile.
    """

    members: tuple[str, ...]
    tiled: bool = False

    @classmethod
    def parse(cls, text: str) -> DetectorSpec:
        """Read a name as `--detector` takes it; whether there are such detectors shows when it is made.

        Raises
        ------
        SettingError
            A combination of fewer than two or more than eight, or of what is itself made of detectors.
        """
        word, _, rest = (part.strip() for part in text.partition(":"))
        if word not in (COMBINE, TILED):
            return cls((text,))
        members = tuple(part.strip() for part in rest.split(",") if part.strip())
        inner = {member.partition(":")[0].strip() for member in members}
        if word == TILED:
            if inner & {COMBINE, TILED}:
                raise SettingError(
                    f"The detector {text!r:.80} tiles what is itself made of detectors; name one, as in "
                    "tiled:auto."
                )
            return cls((rest,), tiled=True)
        if TILED in inner:
            raise SettingError(
                f"The detector {text!r:.80} combines one on tiles; combine detectors of whole images only."
            )
        if COMBINE in inner:
            raise SettingError(
                f"The detector {text!r:.80} combines a combination; name all members in one: "
                "combine:knn,gmm,pca."
            )
        if not 2 <= len(members) <= MAX_MEMBERS:
            raise SettingError(
                f"The detector {text!r:.80} names {len(members)} members; name 2 to {MAX_MEMBERS}, as in "
                "combine:knn,gaussian."
            )
        return cls(members)

    @property
    def name(self) -> str:
        """The name as model files spell it."""
        if self.tiled:
            return f"{TILED}:{self.members[0]}"
        return self.members[0] if len(self.members) == 1 else f"{COMBINE}:{','.join(self.members)}"

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each member; one that is named again is told apart as A2, A3, …

        Raises
        ------
        SettingError
            Two members would have the same.
        """
        given = self.members
        labels = tuple(
            part if part not in given[:place] else f"{part}{given[:place].count(part) + 1}"
            for place, part in enumerate(given)
        )
        if len(set(labels)) < len(labels):
            raise SettingError(
                f"The detector {self.name!r:.80} gives two members the same name; change their order."
            )
        return labels

    def on_tiles(self) -> DetectorSpec:
        """The same detector on tiles; SettingError where it is made of several."""
        return self if self.tiled else DetectorSpec.parse(f"{TILED}:{self.name}")

    def parameters(self) -> dict[str, Field[Any]]:
        """What `-p` takes, by name: of a combination as MEMBER.KEY, of one on tiles also how to cut."""
        own = [fields(load_detector(name).settings_type) for name in self.members]
        if len(own) > 1:
            return {f"{label}.{f.name}": f for label, of in zip(self.labels, own, strict=True) for f in of}
        return {f.name: f for f in (*(fields(TiledSettings) if self.tiled else ()), *own[0])}

    def make(self, parameters: Parameters | None = None) -> Detector:
        """The detector, which has learnt nothing yet.

        Parameters
        ----------
        parameters : mapping
            Values, or texts as `-p` takes them. Of a combination MEMBER.KEY is for one member, KEY for all
            that have it, and the former wins.

        Raises
        ------
        SettingError
            A detector or parameter is unknown (the nearest is suggested), a value is bad, or the detector
            cannot be tiled.
        """
        given = parameters or {}
        if len(self.members) > 1:
            from anomalens.detectors.combine import Combine  # checking one alone loads none of it

            shares = self._shares(given)
            members = (_made(name, share) for name, share in zip(self.members, shares, strict=True))
            return Combine(dict(zip(self.labels, members, strict=True)))
        (name,) = self.members
        if not self.tiled:
            return _made(name, given)
        known = self.parameters()
        for key in given:
            if key not in known:
                raise unknown_name("parameter", key, known)
        cut = {f.name for f in fields(TiledSettings)}
        inner = _made(name, {key: value for key, value in given.items() if key not in cut})
        _require_tileable(inner)
        return Tiled(inner, TiledSettings.from_values({key: given[key] for key in cut & given.keys()}))

    def _shares(self, given: Parameters) -> list[dict[str, Any]]:
        """Each member's own parameters."""
        labels = [label.replace("-", "_") for label in self.labels]
        known = [{f.name for f in fields(load_detector(name).settings_type)} for name in self.members]
        own: list[dict[str, Any]] = [{} for _ in labels]
        common: list[dict[str, Any]] = [{} for _ in labels]
        for key, value in given.items():
            label, dot, name = key.rpartition(".")
            if dot:
                if label.replace("-", "_") not in labels:
                    raise unknown_name("member", label, self.labels)
                own[labels.index(label.replace("-", "_"))][name] = value
                continue
            takers = [shared for shared, has in zip(common, known, strict=True) if name in has]
            if not takers:
                raise unknown_name("parameter", key, set().union(*known))
            for shared in takers:
                shared[name] = value
        return [{**shared, **mine} for shared, mine in zip(common, own, strict=True)]


def _made(name: str, parameters: Parameters) -> Detector:
    kind = load_detector(name)
    return kind(kind.settings_type.from_values(parameters))


def _require_tileable(detector: Detector) -> None:
    """Refuse what gives no maps, or compares whole images with their own references."""
    if not detector.pixel_level:
        maps = ", ".join(name for name in OURS if can_be_tiled(_made(name, {})))
        raise SettingError(
            f"The detector {detector.name!r} gives no maps to put together; tile one that does: {maps}."
        )
    if detector.uses_references:
        raise SettingError(
            f"The detector {detector.name!r} compares each image with its own reference, and references are "
            "not cut into tiles; give a larger size instead."
        )

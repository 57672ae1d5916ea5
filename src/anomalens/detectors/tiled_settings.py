"""The parameters of `tiled:NAME`: how images are cut, beside those of the detector that sees the tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Final, Self

from anomalens.detectors.contract import Detector, Settings, parameter
from anomalens.detectors.registry import TILED
from anomalens.errors import SettingError, unknown_name

TILE: Final = 256
OVERLAP: Final = 32


@dataclass(frozen=True)
class TiledSettings(Settings):
    """Parameters of a tiled detector; a subclass knows which detector it is."""

    kind: ClassVar[type[Detector]]

    tile: int = parameter(TILE, "side of a tile in pixels: what the network sees at once", limits=(32, 2048))
    overlap: int = parameter(
        OVERLAP, "pixels that neighbouring tiles share at least, up to half a tile", limits=(0, 1024)
    )
    max_tiles: int = parameter(2000, "tiles that are learnt from", limits=(1, 10**6))
    inner: Settings = parameter(Settings(), "the detector's own, by their own names")  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.inner) is Settings:
            object.__setattr__(self, "inner", self.kind.settings_type())
        if not isinstance(self.inner, self.kind.settings_type):
            raise SettingError(
                f"tiled:{self.kind.name} was given settings of another detector; give those of "
                f"{self.kind.name}."
            )
        if self.overlap > self.tile // 2:
            raise SettingError(
                f"The overlap is {self.overlap} and the tile {self.tile} pixels; give an overlap of at most "
                f"half the tile, {self.tile // 2}."
            )

    @classmethod
    def from_texts(cls, given: Mapping[str, str]) -> Self:
        """Build from texts, as `-p` gives them; see `from_values`."""
        return cls.from_values(given)

    @classmethod
    def from_values(cls, given: Mapping[str, Any]) -> Self:
        """Take what says how to cut, hand the rest to the detector.

        Raises
        ------
        SettingError
            Neither has such a parameter (the nearest is suggested), or a value is bad.
        """
        own = {f.name for f in fields(cls)} - {"inner"}
        known = own | {f.name for f in fields(cls.kind.settings_type)}
        for key in given:
            if key not in known:
                raise unknown_name("parameter", key, known)
        cut = super().from_texts({key: str(value) for key, value in given.items() if key in own})
        rest = {key: value for key, value in given.items() if key not in own}
        return replace(cut, inner=cls.kind.settings_type.from_values(rest))

    def to_plain(self) -> dict[str, Any]:
        """All in one, each by its own name."""
        return {
            "tile": self.tile,
            "overlap": self.overlap,
            "max_tiles": self.max_tiles,
            **self.inner.to_plain(),
        }


def on_tiles(
    detector: str, parameters: Mapping[str, Any], *, tile: int | None, overlap: int | None
) -> tuple[str, dict[str, Any]]:
    """A detector's name and parameters with the options `tile` and `overlap`; `tile` puts it on tiles.

    Raises
    ------
    SettingError
        An overlap for a detector that is not on tiles.
    """
    tiled = is_tiled(detector)
    if overlap is not None and tile is None and not tiled:
        raise SettingError(f"An overlap of {overlap} was given without a tile; give the tile's side too.")
    options = {"tile": tile, "overlap": overlap}
    given = {key: value for key, value in options.items() if value is not None}
    return (detector if tiled or tile is None else f"{TILED}:{detector}"), {**parameters, **given}


def is_tiled(detector: str) -> bool:
    """Whether a detector's name says that it works on tiles."""
    return detector.partition(":")[0].strip() == TILED


def without_tiles(detector: str) -> str:
    """The name of the detector that sees the tiles; any other name as it is."""
    return detector.partition(":")[2].strip() if is_tiled(detector) else detector

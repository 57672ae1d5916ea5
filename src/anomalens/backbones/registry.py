"""The backbones by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anomalens.backbones.card import Backbone
from anomalens.backbones.efficientnet_lite import NAMES, EfficientNetLite
from anomalens.backbones.quantised import SUFFIX, Quantised
from anomalens.backbones.user_graph import UserGraph
from anomalens.errors import SettingError, unknown_name

DEFAULT: Final = NAMES[0]


@dataclass(frozen=True)
class BackboneRow:
    """One line of the list of backbones; `size` is (height, width) in pixels."""

    name: str
    source: str
    licence: str
    installed: bool
    taps: tuple[str, ...]
    size: tuple[int, int]


def backbones() -> list[BackboneRow]:
    """What `load_backbone` knows by name; nothing is loaded, and onnx is not imported."""
    rows = []
    for name in NAMES:
        network = EfficientNetLite(name)
        card = network.card
        rows.append(
            BackboneRow(
                name=name,
                source=card.source,
                licence=card.licence,
                installed=network.installed,
                taps=tuple(tap.name for tap in card.taps),
                size=card.size,
            )
        )
    return rows


def load_backbone(name_or_path: str | Path = DEFAULT) -> Backbone:
    """A backbone by its name, or from an ONNX file.

    Parameters
    ----------
    name_or_path : str or Path
        A name from `backbones()`, or the path of an `.onnx` file or of its `.json` card; with `:int8`
        behind it, the same network in 8 bits.

    Returns
    -------
    Backbone
        It has `.card` and `.graph(taps)`.

    Raises
    ------
    SettingError
        If there is no backbone of that name.
    BackboneError
        If an ONNX file or its card cannot be used; see `UserGraph.load`.
    """
    name = str(name_or_path)
    if name.endswith(SUFFIX):
        inside = name.removesuffix(SUFFIX)
        if inside.endswith(SUFFIX):
            raise SettingError(f"The backbone {name:.80} names {SUFFIX} twice; once gives 8 bits.")
        return Quantised(load_backbone(inside))
    if name in NAMES:
        return EfficientNetLite(name)
    path = Path(name_or_path)
    if path.suffix.lower() == ".onnx":
        return UserGraph.load(path)
    if path.suffix.lower() == ".json":
        return UserGraph.load(path.with_suffix(".onnx"), card=path)
    if isinstance(name_or_path, Path) or path.exists():
        raise SettingError(
            f"The backbone {name} is neither an .onnx file nor its .json card: export the network to ONNX."
        )
    raise unknown_name("backbone", name, NAMES)

"""The small JSON card that a user writes beside an ONNX file, and what is wrong with one.

    {"licence": "MIT", "scaling": "imagenet", "size": 224,
     "taps": [{"name": "layer2", "tensor": "/layer2/Relu_output_0"},
              {"tensor": "tokens", "kind": "tokens", "skip": 1}]}

What the graph itself can tell (channels, strides, the only input) may be left out; what is stated
is checked against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anomalens.backbones.card import MAX_SIDE, MAX_TAPS
from anomalens.errors import BackboneError, SettingError, unknown_name

MAX_DESCRIPTION_BYTES: Final = 2**20
LAYOUTS: Final = ("NCHW", "NHWC")
KINDS: Final = ("map", "tokens")
# Mean and std per channel, in units of 0-255.
SCALINGS: Final[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "0-255": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0-1": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "-1-1": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
# Outputs that later nodes will have.
_RESERVED: Final = ("image", "embedding", "features", "nearest", "anomaly_map")


@dataclass(frozen=True)
class DescribedTap:
    """A tensor of the graph: `map` is [n, c, h, w], `tokens` is [n, skip + h·w, c]."""

    name: str
    tensor: str
    kind: str = "map"
    skip: int = 0
    channels: int | None = None
    stride: int | None = None


@dataclass(frozen=True)
class Description:
    """A user's card; the fields are those of `BackboneCard` and of `DescribedTap`.

    `input` None is the graph's only input, `size` None the size that the graph fixes, `multiple`
    None the least common multiple of the taps' strides.
    """

    name: str
    licence: str
    taps: tuple[DescribedTap, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = ""
    input: str | None = None
    layout: str = "NCHW"
    size: tuple[int, int] | None = None
    multiple: int | None = None


def read_description(path: Path) -> Description:
    """Read and check a card.

    Raises
    ------
    BackboneError
        If the file is missing, not JSON, or an entry is missing, unknown or wrong.
    SettingError
        If a layout, scaling or kind has a name that is not known.
    """
    if not path.is_file():
        raise BackboneError(
            f"{path.name} is missing: an ONNX file needs a JSON card beside it that says how to "
            'feed it, with at least "licence", "scaling", "size" and "taps".'
        )
    try:
        if path.stat().st_size > MAX_DESCRIPTION_BYTES:
            raise BackboneError(f"{path.name} is larger than the 1 MB that a card may have.")
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise BackboneError(f"{path.name} cannot be read as JSON: {problem}.") from None
    try:
        return _description(data, path.stem)
    except BackboneError as problem:
        raise BackboneError(f"{path.name}: {problem}") from None


def _description(data: Any, stem: str) -> Description:
    known = {*Description.__dataclass_fields__, "scaling"} - {"mean", "std"}
    _check_entries(data, known, {"licence", "scaling", "taps"}, "the card")
    for field in ("name", "licence", "source", "input"):
        if field in data and not isinstance(data[field], str):
            raise BackboneError(f'the entry "{field}" must be a text.')
    layout = data.get("layout", "NCHW")
    if layout not in LAYOUTS:
        raise unknown_name("layout", str(layout), LAYOUTS)
    taps = data["taps"]
    if not isinstance(taps, list) or not 0 < len(taps) <= MAX_TAPS:
        raise BackboneError('the entry "taps" must be a list of at least one tap.')
    read = tuple(_tap(tap) for tap in taps)
    if len({tap.name for tap in read}) < len(read):
        raise BackboneError("two taps have the same name.")
    mean, std = _scaling(data["scaling"])
    return Description(
        name=data.get("name", stem),
        licence=data["licence"],
        taps=read,
        mean=mean,
        std=std,
        source=data.get("source", ""),
        input=data.get("input"),
        layout=layout,
        size=_size(data["size"]) if "size" in data else None,
        multiple=_whole(data["multiple"], "multiple", 1) if "multiple" in data else None,
    )


def _tap(data: Any) -> DescribedTap:
    if isinstance(data, str):
        data = {"tensor": data}
    _check_entries(data, set(DescribedTap.__dataclass_fields__), {"tensor"}, "a tap")
    name = data.get("name", data["tensor"])
    if not isinstance(name, str) or not isinstance(data["tensor"], str) or not name:
        raise BackboneError("a tap's name and tensor must be texts.")
    if name.split("/")[0] in _RESERVED:
        raise BackboneError(f"a tap cannot be named {name!r}: give it another name.")
    kind = data.get("kind", "map")
    if kind not in KINDS:
        raise unknown_name("kind of tap", str(kind), KINDS)
    if kind == "map" and data.get("skip"):
        raise BackboneError(f"the tap {name!r} is a map, and only tokens can be skipped.")
    return DescribedTap(
        name=name,
        tensor=data["tensor"],
        kind=kind,
        skip=_whole(data.get("skip", 0), "skip", 0),
        channels=_whole(data["channels"], "channels", 1, 2**20) if "channels" in data else None,
        stride=_whole(data["stride"], "stride", 1) if "stride" in data else None,
    )


def _scaling(value: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if isinstance(value, str):
        if value not in SCALINGS:
            raise unknown_name("scaling", value, SCALINGS)
        return SCALINGS[value]
    _check_entries(value, {"mean", "std"}, {"mean", "std"}, "the scaling")
    for name, lowest in (("mean", -1e6), ("std", 1e-6)):
        numbers = value[name]
        if (
            not isinstance(numbers, list)
            or len(numbers) != 3
            or not all(type(n) in (int, float) and lowest <= n <= 1e6 for n in numbers)
        ):
            raise BackboneError(
                f'the scaling\'s "{name}" must be three numbers of at least {lowest:g} in units of 0-255, '
                "for red, green and blue."
            )
    return tuple(map(float, value["mean"])), tuple(map(float, value["std"]))


def _size(value: Any) -> tuple[int, int]:
    sides = value if isinstance(value, list) else [value, value]
    if len(sides) != 2:
        raise BackboneError('the entry "size" must be a number of pixels or [height, width].')
    return _whole(sides[0], "size", 1), _whole(sides[1], "size", 1)


def _whole(value: Any, what: str, lowest: int, highest: int = MAX_SIDE) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise BackboneError(f'the entry "{what}" must be a whole number from {lowest} to {highest}.')
    return value


def _check_entries(data: Any, known: set[str], needed: set[str], what: str) -> None:
    if not isinstance(data, Mapping):
        raise BackboneError(f"{what} must be a JSON object.")
    missing = [f'"{name}"' for name in sorted(needed - set(data))]
    if missing:
        raise BackboneError(f"{what} lacks the entry {', '.join(missing)}.")
    for name in data:
        if name not in known:
            raise SettingError(str(unknown_name(f"entry of {what}", name, known)))

"""What a backbone says about itself: where it comes from, how to feed it, what it gives.

The card travels inside the model file, so it is plain data, and reading one back checks every
field: model files may come from strangers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from anomalens.errors import BackboneError, SettingError, unknown_name

INPUT_NAME: Final = "image"
MAX_SIDE: Final = 8192
MAX_TAPS: Final = 512


@dataclass(frozen=True)
class Tap:
    """A place in the network where features can be taken.

    Parameters
    ----------
    name : str
        The name of the graph's output, float32 [n, channels, ceil(h / stride), …] or, for networks
        that do not pad, slightly smaller.
    channels : int
        Features per position.
    stride : int
        Input pixels per position, along each axis.
    """

    name: str
    channels: int
    stride: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 512:
            raise BackboneError(f"A tap's name must be a text, not {_short(self.name)}.")
        _whole(f"tap {_short(self.name)}: channels", self.channels, 1, 2**20)
        _whole(f"tap {_short(self.name)}: stride", self.stride, 1, MAX_SIDE)


@dataclass(frozen=True)
class BackboneCard:
    """A backbone's description.

    Parameters
    ----------
    name, source, licence : str
        What it is called, where its weights come from, and their licence.
    sha256 : str
        The digest, in hexadecimal, of the file that its weights were read from.
    taps : tuple of Tap
        Where features can be taken, from the input to the output.
    mean, std : tuple of 3 floats
        Per channel (red, green, blue) in units of 0-255: the graph's input is
        `(pixel - mean) / std`.
    size : (height, width)
        The input size to use when none is asked for, in pixels.
    multiple : int
        Heights and widths must be multiples of this, so that every tap's grid covers the image
        exactly.
    fixed : bool
        True if the network takes no other size than `size`.

    Raises
    ------
    BackboneError
        If a field has the wrong type or is out of range.
    """

    name: str
    source: str
    licence: str
    sha256: str
    taps: tuple[Tap, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int]
    multiple: int
    fixed: bool = False

    def __post_init__(self) -> None:
        for field in ("name", "source", "licence"):
            text = getattr(self, field)
            if not isinstance(text, str) or len(text) > 2000:
                raise BackboneError(f"A backbone card's {field} must be a text, not {_short(text)}.")
        if not isinstance(self.sha256, str) or not _is_digest(self.sha256):
            raise BackboneError("A backbone card's sha256 must be 64 hexadecimal digits.")
        if not 0 < len(self.taps) <= MAX_TAPS or len({t.name for t in self.taps}) < len(self.taps):
            raise BackboneError("A backbone card needs at least one tap, each with its own name.")
        _numbers("mean", self.mean, lowest=-1e6)
        _numbers("std", self.std, lowest=1e-6)
        _whole("multiple", self.multiple, 1, MAX_SIDE)
        if not isinstance(self.size, tuple) or len(self.size) != 2:
            raise BackboneError(f"A backbone card's size must be (height, width), not {_short(self.size)}.")
        for side in self.size:
            _whole("size", side, 1, MAX_SIDE)
            if side % self.multiple:
                raise BackboneError(f"A backbone card's size, {side}, must be a multiple of {self.multiple}.")
        if not isinstance(self.fixed, bool):
            raise BackboneError("A backbone card's 'fixed' must be true or false.")

    def tap(self, name: str) -> Tap:
        """The tap of that name.

        Raises
        ------
        SettingError
            If there is none; suggests the nearest.
        """
        for tap in self.taps:
            if tap.name == name:
                return tap
        raise unknown_name(f"tap of {self.name}", name, [tap.name for tap in self.taps])

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse an input size (height, width in pixels) that the network cannot take.

        Raises
        ------
        SettingError
            Says which sizes it can.
        """
        height, width = size
        if self.fixed and size != self.size:
            raise SettingError(
                f"{self.name} takes images of {self.size[0]}×{self.size[1]} pixels (height×width) "
                f"only, not {height}×{width}: leave the size out."
            )
        if any(not 0 < side <= MAX_SIDE or side % self.multiple for side in size):
            raise SettingError(
                f"{self.name} takes heights and widths that are multiples of {self.multiple} up to "
                f"{MAX_SIDE} pixels, not {height}×{width}: choose the nearest."
            )

    def to_json(self) -> dict[str, Any]:
        """The card as plain data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> BackboneCard:
        """Read a card back.

        Parameters
        ----------
        data : object
            What `json.loads` gave; nothing about it is trusted.

        Raises
        ------
        BackboneError
            If a field is missing, unknown, of the wrong type or out of range.
        """
        names = set(cls.__dataclass_fields__)
        fields = dict(_fields(data, names, names - {"fixed"}, "A backbone card"))
        taps = [
            Tap(**_fields(tap, names_of_tap, names_of_tap, "A backbone card's tap"))
            for tap in _items(fields["taps"], "taps")
            for names_of_tap in [set(Tap.__dataclass_fields__)]
        ]
        fields["taps"] = tuple(taps)
        for name in ("mean", "std", "size"):
            fields[name] = tuple(_items(fields[name], name))
        return cls(**fields)


class Backbone(Protocol):
    """A network that can be asked for a graph."""

    @property
    def card(self) -> BackboneCard:
        """Its description."""
        ...

    def graph(self, taps: Sequence[str]) -> bytes:
        """A serialized ONNX model from `image` to the taps.

        Parameters
        ----------
        taps : sequence of str
            Names from the card, each at most once.

        Returns
        -------
        bytes
            Input `image`, float32 [n, 3, h, w], red-green-blue, already scaled with the card's
            mean and std; one output per tap, float32 [n, channels, h', w'], in the order asked.
            The same call gives the same bytes.

        Raises
        ------
        SettingError
            If a tap is unknown, given twice, or none is given.
        BackboneError
            If the weights cannot be used.
        """
        ...


def check_taps(card: BackboneCard, taps: Sequence[str]) -> list[Tap]:
    """The taps of these names, in this order; see `Backbone.graph` for what is refused."""
    if isinstance(taps, str) or not taps:
        raise SettingError(
            f"{card.name} needs a list of at least one tap; "
            f"known: {', '.join(tap.name for tap in card.taps)}."
        )
    if len(set(taps)) < len(taps):
        raise SettingError(f"A tap is asked for twice in {list(taps)}: name each once.")
    return [card.tap(name) for name in taps]


def _fields(data: object, known: set[str], needed: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise BackboneError(f"{what} must be a JSON object, not {_short(data)}.")
    missing = sorted(needed - set(data))
    if missing:
        raise BackboneError(f"{what} lacks {', '.join(missing)}.")
    for name in data:
        if name not in known:
            raise BackboneError(
                f"{what} has the unknown entry {_short(name)}; known: {', '.join(sorted(known))}."
            )
    return data


def _items(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) > MAX_TAPS:
        raise BackboneError(f"A backbone card's {what} must be a list, not {_short(value)}.")
    return value


def _whole(what: str, value: object, lowest: int, highest: int) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise BackboneError(
            f"A backbone card's {what} must be a whole number from {lowest} to {highest}, "
            f"not {_short(value)}."
        )


def _numbers(what: str, values: object, *, lowest: float) -> None:
    good = (
        isinstance(values, tuple)
        and len(values) == 3
        and all(type(v) in (int, float) and math.isfinite(v) for v in values)
        and all(lowest <= v <= 1e6 for v in values)
    )
    if not good:
        raise BackboneError(
            f"A backbone card's {what} must be three numbers of at least {lowest:g}, one for each "
            f"of red, green and blue, not {_short(values)}."
        )


def _is_digest(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def _short(value: object) -> str:
    # A stranger's value may be huge; an error message must not be.
    text = f"{value[:60]!r}" if isinstance(value, str) else type(value).__name__
    return repr(value)[:60] if isinstance(value, int | float) and abs(value) < 1e30 else text

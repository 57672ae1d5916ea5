"""What a backbone says about itself: where it comes from, how to feed it, what it gives.

The card goes into the model file as plain data, for people to read.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        If the size is no multiple of what it must be.
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
        for side in self.size:
            if side % self.multiple:
                raise BackboneError(f"A backbone card's size, {side}, must be a multiple of {self.multiple}.")

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

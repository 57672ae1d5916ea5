"""Preprocessing: what is done to every image, at fit and at check, before a network sees it.

A list of steps that is saved in the model file and replayed bit by bit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from anomalens.errors import SettingError, unknown_name
from anomalens.images.decode import Picture
from anomalens.images.geometry import Affine, Prepared
from anomalens.images.steps import (
    MODES,
    ApplyMask,
    Grey,
    Mode,
    RemoveBackground,
    Resize,
    Standardise,
    UsedBits,
)

__all__ = ["Affine", "Prepared", "Preprocessing"]

ValueStep = Grey | Standardise | UsedBits | RemoveBackground | ApplyMask
Step = Resize | ValueStep

_KINDS: dict[str, type[Step]] = {
    step.kind: step for step in (Resize, Grey, Standardise, UsedBits, RemoveBackground, ApplyMask)
}
_VALUED = (UsedBits.kind, RemoveBackground.kind, ApplyMask.kind)
_WORDS = (*MODES, Grey.kind, Standardise.kind, *_VALUED)
_BACKGROUND = re.compile(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})(?::([0-9]{1,3}))?", re.I)


@dataclass(frozen=True)
class Preprocessing:
    """Steps in order: one `Resize`, then any others.

    Parameters
    ----------
    steps : tuple
        `Resize` comes first because the others are much cheaper on the small image.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        resizes = [isinstance(step, Resize) for step in self.steps]
        if not resizes or not resizes[0] or any(resizes[1:]):
            raise SettingError(
                "Preprocessing begins with exactly one resize and no other follows; put it first."
            )

    @property
    def resize(self) -> Resize:
        """The first step."""
        first = self.steps[0]
        assert isinstance(first, Resize)
        return first

    @property
    def output_size(self) -> tuple[int, int]:
        """Width and height of what comes out, in pixels."""
        return self.resize.width, self.resize.height

    @property
    def reduce_to(self) -> int | None:
        """Short side that a JPEG's reduced decoding must keep: twice the longer target side.

        Twice, so that the antialiased resize and not the JPEG decoder sets the quality; the longer
        side, so that this holds for every aspect of image and target. Part of what makes replay
        exact: read with this value at fit and at check.
        """
        return 2 * max(self.output_size)

    def apply(self, picture: Picture) -> Prepared:
        """Prepare one decoded picture."""
        prepared = self.resize.place(picture)
        for step in self.steps[1:]:
            assert not isinstance(step, Resize)
            prepared = step.apply(prepared)
        return prepared

    def to_json(self) -> dict[str, Any]:
        """The steps as plain JSON values."""
        return {"steps": [step.to_json() for step in self.steps]}

    @classmethod
    def from_json(cls, data: object) -> Preprocessing:
        """Read what `to_json` gave.

        Raises
        ------
        SettingError
            For an unknown step (made by a newer version), unknown or missing fields, wrong types.
        """
        if not isinstance(data, dict) or set(data) != {"steps"}:
            raise SettingError("Preprocessing settings need exactly one field, 'steps'.")
        if not isinstance(data["steps"], list):
            raise SettingError("Preprocessing settings need a list of steps.")
        steps = []
        for item in data["steps"]:
            kind = item.get("kind") if isinstance(item, dict) else None
            step = _KINDS.get(kind) if isinstance(kind, str) else None
            if step is None:
                raise SettingError(
                    f"The preprocessing step {kind!r} is unknown here; it was made by a newer "
                    "version, so update anomalens."
                )
            steps.append(step.from_json(item))
        return cls(tuple(steps))

    @classmethod
    def parse(cls, text: str, *, width: int, height: int) -> Preprocessing:
        """Read the command line's form, such as `pad,grey,background=#000000:12,mask=FILE`.

        Words: `stretch` (when none is given), `pad` or `crop` say how the image is resized, which
        always comes first; then, in the order given, `grey`, `standardise`, `bits=N`,
        `background=#RRGGBB[:TOLERANCE]` and `mask=FILE`.

        Raises
        ------
        SettingError
            For an unknown word or value.
        ImageError
            When the mask file cannot be read.
        """
        resize: Resize | None = None
        steps: list[Step] = []
        for item in (part.strip() for part in text.split(",")):
            if not item:
                continue
            word, _, value = item.partition("=")
            if word not in _WORDS:
                raise unknown_name("preprocessing step", word, _WORDS)
            if value and word not in _VALUED:
                raise SettingError(f"The preprocessing step {word} takes no value; drop ={value}.")
            if word in MODES:
                if resize is not None:
                    raise SettingError(f"{resize.mode} and {word} are two ways to resize; give one of them.")
                resize = Resize(width=width, height=height, mode=cast(Mode, word))
            else:
                steps.append(_value_step(word, value))
        return cls((resize or Resize(width=width, height=height), *steps))


def _value_step(word: str, value: str) -> Step:
    if word == Grey.kind:
        return Grey()
    if word == Standardise.kind:
        return Standardise()
    if word == UsedBits.kind:
        if not value.isdecimal():
            raise SettingError(f"bits={value} is no number of bits; write bits=12.")
        return UsedBits(bits=int(value))
    if word == ApplyMask.kind:
        if not value:
            raise SettingError("The preprocessing step mask needs a file; write mask=FILE.")
        return ApplyMask.from_file(value)
    found = _BACKGROUND.fullmatch(value)
    if found is None:
        raise SettingError(
            f"background={value} is no colour; write background=#RRGGBB or "
            "background=#RRGGBB:TOLERANCE with a tolerance from 0 to 255."
        )
    red, green, blue = (int(found[part], 16) for part in (1, 2, 3))
    if found[4] is None:
        return RemoveBackground(colour=(red, green, blue))
    return RemoveBackground(colour=(red, green, blue), tolerance=int(found[4]))

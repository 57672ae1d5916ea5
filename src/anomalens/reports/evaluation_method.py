"""A detector in plain words, taken from its own documentation."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Final

from anomalens.detectors.spec import DetectorSpec
from anomalens.errors import SettingError

_DOES: Final = "What it does."
_FAILS: Final = "When it fails."


@dataclass(frozen=True)
class Method:
    """Title with its source, what the method does, and when it fails; texts may be empty."""

    title: str
    does: str
    fails: str


def method_of(detector: str) -> Method:
    """The method of a detector, from its module's docstring."""
    try:
        found = type(DetectorSpec.parse(detector).make())
    except SettingError:
        return Method(
            f"The detector {detector!r} is not installed here, so nothing is said about it.", "", ""
        )
    text = sys.modules[found.__module__].__doc__ or found.__doc__ or ""
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if part.strip() and not part.startswith(" ")]
    words = [" ".join(part.split()) for part in paragraphs]
    title = words[0] if words else detector
    sections: dict[str, list[str]] = {}
    current = ""
    for paragraph in words[1:]:
        # "What it does. …" opens a section; what follows belongs to it until another one opens
        for head in (_DOES, _FAILS):
            if paragraph.startswith(head):
                current, paragraph = head, paragraph.removeprefix(head).strip()
        sections.setdefault(current, []).append(paragraph)
    return Method(
        title,
        " ".join(sections.get(_DOES, sections.get("", []))).rstrip(":"),
        sections.get(_FAILS, [""])[0],
    )

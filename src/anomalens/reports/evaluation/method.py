"""A detector in plain words."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files

from anomalens.detectors import load_detector
from anomalens.errors import SettingError
from anomalens.reports.parts import document as doc


def method_of(detector: str) -> Iterator[doc.Block]:
    """What a detector does and when it fails; of several at once, and of one on tiles, each.

    Parameters
    ----------
    detector : str
        As a result card names it: `knn`, `combine:knn,gmm`, `tiled:auto`, or another package's.
    """
    known = tomllib.loads(files(__package__).joinpath("methods.toml").read_text(encoding="utf-8"))
    wrapper, _, members = detector.partition(":")
    for name in dict.fromkeys(part.strip() for part in (wrapper, *members.split(",")) if part.strip()):
        told = known.get(name)
        if told is None:
            yield doc.Paragraph((doc.Mark(name), f": {_announced(name)}"))
            continue
        yield doc.Paragraph((doc.Mark(name), f" ({told['source']}). {told['does']}"))
        yield doc.Paragraph((doc.Mark("When it fails."), f" {told['fails']}"))


def _announced(name: str) -> str:
    """What another package says of its detector."""
    try:
        found = load_detector(name)
    except SettingError:
        return "this detector is not installed here, so nothing is said about it."
    line = (found.__doc__ or "").strip().partition("\n")[0]
    return f"a detector of the family {found.family} from another package. {line}".strip()

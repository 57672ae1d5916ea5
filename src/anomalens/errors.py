"""Everything Anomalens raises on purpose, in one tree.

    AnomalensError
    ├── InputError          what was given cannot be used; the command line exits with 2
    │   ├── ImageError      one image file, page or array
    │   ├── ImageSetError   a folder, glob, list, manifest or stack of arrays as a whole
    │   ├── ModelFileError  a model file: damaged, foreign, tampered with, or newer than this version
    │   ├── BackboneError   a network, its weights or its card
    │   └── SettingError    an option: unknown name, value out of range, options that contradict
    ├── ExecutionError      a runtime failed, which no image is to blame for; the command line exits with 3
    └── MissingExtraError   an optional dependency; the message names the command that installs it

Each message is one sentence: what was given, what was needed, what to do.
`AnomalensWarning` marks results that are given but need care.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnomalensError(Exception):
    """Base of all errors that Anomalens raises on purpose."""


class InputError(AnomalensError):
    """What was given cannot be used."""


class ImageError(InputError):
    """One image cannot be used.

    Parameters
    ----------
    image : str
        The image's id (its path, or its place in an array).
    problem : str
        What is wrong and what to do, without the image's name.
    """

    def __init__(self, image: str, problem: str) -> None:
        super().__init__(f"{image}: {problem}")
        self.image = image
        self.problem = problem


class ImageSetError(InputError):
    """A collection of images cannot be used."""


class ModelFileError(InputError):
    """A model file cannot be used."""


class BackboneError(InputError):
    """A network, its weights or its card cannot be used."""


class SettingError(InputError):
    """An option is unknown, out of range, or contradicts another."""


class ExecutionError(AnomalensError):
    """A runtime failed while it ran a network, or was asked in a way that it cannot answer."""


class MissingExtraError(AnomalensError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra: run  pip install 'anomalens[{extra}]'")
        self.extra = extra


class AnomalensWarning(UserWarning):
    """A result is given, but with less than was asked; the text says what is missing."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> SettingError:
    """The error for a name that is not in a list: suggests the nearest one."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
    return SettingError(f"There is no {kind} named {name!r}; {hint}")

"""Packages that may be installed: found without running anything of them, or loaded when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anomalens.errors import MissingExtraError


def package_folder(name: str, search: Sequence[str] | None = None) -> Path | None:
    """Where a package lies; None where it is not installed.

    Parameters
    ----------
    name : str
    search : sequence of str, optional
        Folders to look in; by default wherever Python imports from.
    """
    spec = find_spec(name) if search is None else PathFinder.find_spec(name, search)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def opencv() -> Any:
    """OpenCV's module; MissingExtraError where it is not installed."""
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("Video and motion", "video") from None
    return cv2

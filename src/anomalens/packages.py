"""Packages that may be installed, found without running anything of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path


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

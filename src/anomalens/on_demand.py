"""Names that a package offers and loads when they are first used, so that importing it costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(package: str, offered: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package takes for its `__getattr__`.

    Parameters
    ----------
    package : str
    offered : mapping of str to str
        By module of the package, the names that it offers from there, with spaces between them.
    """
    homes = {name: module for module, names in offered.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find

"""Folders that the environment names, so that processes started meanwhile use them too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomalens.errors import SettingError


@contextmanager
def keeping_in(folder: Path | None, variable: str, *, what: str) -> Iterator[None]:
    """Name this folder in the environment meanwhile; None changes nothing.

    Parameters
    ----------
    folder : Path or None
        Made where it is not there.
    variable : str
        Of the environment.
    what : str
        What is kept there, for messages.

    Raises
    ------
    SettingError
        The folder cannot be made or written to.
    """
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"The folder {folder} for {what} cannot be made: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError(f"The folder {folder} for {what} may not be written to; choose another.")
    former = os.environ.get(variable)
    os.environ[variable] = str(folder.resolve())
    try:
        yield
    finally:
        if former is None:
            del os.environ[variable]
        else:
            os.environ[variable] = former

"""Files that are written whole or not at all, and places that are refused before work is spent on them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from anomalens.errors import InputError, SettingError


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Where to write a file, or make a folder, that becomes `path` when the block ends.

    Where the block fails, nothing is left of it. A folder may take the place of an empty one.

    Raises
    ------
    OSError
        It cannot take its place.
    """
    # one for each thread: two that write the same file must not write into one another
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # of a file, it does nothing
        with suppress(OSError):  # it has moved, or its folder is not there
            beside.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that is there, under its name, only when all of it is written.

    Raises
    ------
    OSError
        It cannot be written.
    """
    with written_beside(path) as beside, beside.open("wb") as file:
        yield file


def write_text(path: Path, text: str, *, what: str = "") -> None:
    """Write a text whole, as UTF-8; `what` names it in the error.

    Raises
    ------
    InputError
        It cannot be written.
    """
    try:
        with whole_file(path) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        named = f"{what} cannot be written to {path}" if what else f"{path} cannot be written"
        raise InputError(f"{named}: {error.strerror}.") from None


def require_place(path: Path, option: str) -> None:
    """Refuse a file that could not be written, before minutes are spent on it.

    Raises
    ------
    SettingError
        Its folder does not exist or may not be written to; `option` is what named it.
    """
    require_folder(path.parent, option)


def require_folder(folder: Path, option: str) -> None:
    """Refuse a folder in which nothing could be written; errors as of `require_place`."""
    if not folder.is_dir():
        raise SettingError(f"The folder {folder} of {option} does not exist; make it first.")
    try:  # permissions alone say little: of network drives, of read-only mounts, of Windows
        with TemporaryFile(dir=folder):
            pass
    except OSError:
        raise SettingError(
            f"The folder {folder} of {option} may not be written to; choose another."
        ) from None

"""A folder that holds a report: what is ours in it is replaced as a whole, what is foreign stays.

A hidden list in the folder names the files of the last report. New files are written beside it, in
a hidden folder that vanishes when the run stops, and are renamed into place at the end: a stopped
run leaves the earlier report as it was.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from anomalens.errors import InputError

# The list is only a file: what it names is believed where it can be nothing else than ours.
_OURS: Final = re.compile(r"(?:overlays|pictures)/(?:[0-9]{4,}|normal)-[\w.-]+\.jpg")


class OwnedFolder:
    """Stages the files of one report.

    Parameters
    ----------
    out : Path
        Made if it does not exist.
    fixed : tuple of str
        Files whose names cannot be chosen; a foreign file of such a name is refused.
    listed_in : str
        Name of the hidden list.

    Raises
    ------
    InputError
        `out` is a file, cannot be written to, or holds a foreign file with a fixed name.
    """

    def __init__(self, out: Path, *, fixed: tuple[str, ...], listed_in: str) -> None:
        self.out = out
        self._list = listed_in
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file and the report needs a folder; choose another name.")
        self._former = _read_list(out / listed_in, fixed)
        for name in fixed:
            if os.path.lexists(out / name) and name not in self._former:
                raise InputError(
                    f"{out / name} is there and not listed as a file of an earlier report; choose another "
                    "folder, or move that file."
                )
        self._names: dict[str, None] = {}  # in the order in which they were placed
        made = not out.exists()
        with self.writing():
            out.mkdir(parents=True, exist_ok=True)
            self._stage = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
        self._discard = weakref.finalize(self, _discard, self._stage, out if made else None)

    def place(self, name: str) -> Path:
        """Where to write the file that will be `name` (relative, forward slashes)."""
        path = self._stage / name
        with self.writing():
            path.parent.mkdir(parents=True, exist_ok=True)
        self._names[name] = None
        return path

    def write(self, name: str, text: str) -> None:
        """Write the text file that will be `name`; what is no Unicode is written as escapes."""
        place = self.place(name)
        with self.writing():
            place.write_bytes(text.encode("utf-8", "backslashreplace"))

    def free_name(self, folder: str, stem: str, suffix: str) -> str:
        """A name in a folder that no foreign file has, and no other of this report."""
        name, copy = f"{folder}/{stem}{suffix}", 1
        while name in self._names or (name not in self._former and os.path.lexists(self.out / name)):
            copy += 1
            name = f"{folder}/{stem}-{copy}{suffix}"
        return name

    def drop(self, name: str) -> None:
        """Forget a file that was placed."""
        del self._names[name]
        (self._stage / name).unlink(missing_ok=True)

    def finish(self) -> None:
        """Rename everything into place and remove what only the former report had."""
        with self.writing():
            # Both reports are listed while files move, so that a stop here leaves nothing unowned.
            self._write_list({*self._former, *self._names})
            for name in self._names:
                (self.out / name).parent.mkdir(exist_ok=True)
                (self._stage / name).replace(self.out / name)
            for name in self._former - self._names.keys():
                (self.out / name).unlink(missing_ok=True)
            for folder in {name.split("/")[0] for name in self._former if "/" in name}:
                with suppress(OSError):  # not empty: still used, or holds foreign files
                    (self.out / folder).rmdir()
            self._write_list(set(self._names))
        self._discard()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the file system refuses into one sentence."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"The report cannot be written to {self.out} ({error.strerror or error}); choose "
                "another folder or make room."
            ) from None

    def _write_list(self, names: set[str]) -> None:
        beside = self._stage / self._list
        beside.write_text(json.dumps({"files": sorted(names)}, indent=0), encoding="utf-8")
        beside.replace(self.out / self._list)


def _read_list(path: Path, fixed: tuple[str, ...]) -> set[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name for name in names if isinstance(name, str) and (name in fixed or _OURS.fullmatch(name))}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _discard(stage: Path, made: Path | None) -> None:
    shutil.rmtree(stage, ignore_errors=True)
    if made is not None:
        with suppress(OSError):  # not empty: the report is in it
            made.rmdir()

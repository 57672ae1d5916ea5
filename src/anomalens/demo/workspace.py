"""The demonstration's folder: its own former output is replaced, anything else makes it refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anomalens.errors import InputError

MARKER: Final = "made-by-anomalens-demo.txt"
_TEXT: Final = (
    "anomalens demo made this folder and replaces what it made when it runs again.\n"
    "Open index.html. Each photograph has a folder: train/good (learnt from), test (checked),\n"
    "ground_truth (what was painted), report (open report/index.html).\n"
)
_TILE: Final = re.compile(r"x[0-9]{3}-y[0-9]{3}(_mask)?\.png")


@dataclass(frozen=True)
class Workspace:
    """A folder that belongs to the demonstration."""

    out: Path

    @property
    def page(self) -> Path:
        """The page of the whole demonstration."""
        return self.out / "index.html"

    @classmethod
    def claim(cls, out: Path) -> Workspace:
        """Take a new, empty or former folder of the demonstration.

        Raises
        ------
        InputError
            It is a file, cannot be written to, or holds other things.
        """
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file and the demonstration needs a folder; name another.")
        claimed = cls(out)
        with claimed.writing():
            if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
                raise InputError(
                    f"{out} holds things that the demonstration did not make; give a new folder with --out."
                )
            out.mkdir(parents=True, exist_ok=True)
            (out / MARKER).write_text(_TEXT, encoding="utf-8")
        return claimed

    def fresh(self, name: str) -> Path:
        """A photograph's folder without the former run's tiles; other files in it stay."""
        folder = self.out / name
        with self.writing():
            folder.mkdir(exist_ok=True)
            for part in ("train", "test", "ground_truth"):
                for path in (folder / part).rglob("*.png"):
                    if _TILE.fullmatch(path.name):
                        path.unlink()
        return folder

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the file system refuses into one sentence."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"The demonstration cannot write to {self.out} ({error.strerror or error}); give "
                "another folder with --out."
            ) from None

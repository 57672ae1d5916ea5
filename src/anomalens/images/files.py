"""Finding image files below a folder, in an order that people expect."""

from __future__ import annotations

import os
import re
from pathlib import Path

from anomalens.images.decode import SUFFIXES
from anomalens.images.other_kinds import is_known

_LEFTOVERS = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})
# Files by which folders that we wrote are known: pictures of pictures are nothing to check or learn from.
_OURS = frozenset({".anomalens-report.json", "preprocessing.json"})
_DIGITS = re.compile(r"([0-9]+)")

Key = tuple[tuple[tuple[int, int, str], ...], ...]


def natural_key(path: Path) -> tuple[Key, str]:
    """Sort key by which `img2` comes before `img10`; equal keys fall back to the plain text."""
    return tuple(_part_key(part) for part in path.parts), path.as_posix()


def folders_in(root: Path) -> list[Path]:
    """The visible folders directly in one, by name; none for what cannot be listed."""
    try:
        # scandir knows what is a folder without asking for each of 20,000 images
        with os.scandir(root) as found:
            names = sorted(
                item.name for item in found if not item.name.startswith((".", "__")) and item.is_dir()
            )
    except OSError:
        return []
    return [root / name for name in names]


def find_files(root: Path, *, recursive: bool = True) -> tuple[list[Path], list[Path]]:
    """List the image files below a folder, and the other files, each in natural order.

    Links to folders are followed, each real folder once, so that a loop of links ends. A folder
    that may not be read is listed among the others, and so is one below the root that holds a report
    or prepared images of ours.
    """
    images: list[Path] = []
    others: list[Path] = []
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            found = list(folder.iterdir())
        except OSError:
            others.append(folder)
            continue
        if folder != root and any(path.name in _OURS for path in found):
            others.append(folder)
            continue
        for path in found:
            if path.name.startswith(".") or path.name.lower() in _LEFTOVERS:
                continue
            if path.is_dir():
                if recursive:
                    waiting.append(path)
            elif path.suffix.lower() in SUFFIXES or is_known(path.name):
                images.append(path)
            else:
                others.append(path)
    return sorted(images, key=natural_key), sorted(others, key=natural_key)


def _part_key(part: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (0, int(piece), "") if piece.isdigit() else (1, 0, piece.lower())
        for piece in _DIGITS.split(part)
        if piece
    )

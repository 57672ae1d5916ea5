"""The evaluation report: report.html for people, report.md and report.json, its twins.

`report.json` holds the result cards and nothing else, so that it can be read, compared and reported
again. Files of an earlier report are replaced; a foreign file is never.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard
from anomalens.reports.evaluation_markdown import render_markdown
from anomalens.reports.evaluation_numbers import checked_card
from anomalens.reports.evaluation_page import MARK, render_report
from anomalens.reports.evaluation_pictures import PictureSource

MAX_BYTES: Final = 5_000_000
_FILES: Final = ("report.html", "report.md", "report.json")


def write_report(
    cards: Sequence[ResultCard],
    out: str | Path,
    *,
    pictures: PictureSource | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Write the report of one or many result cards.

    Parameters
    ----------
    cards : sequence of ResultCard
        Cards that are there twice are reported once. Drawn where present: `settings["curves"]`, name →
        list of values or {"x": [...], "y": [...]}; `settings["densities"]`, name → {"normal": [...],
        "anomalous": [...]}.
    out : Path
        A folder; made if it does not exist.
    pictures : PictureSource, optional
        Without one the page has no pictures, and says so.
    max_bytes : int
        Of report.html; pictures, then sections, are left out to stay below, and the page says so.

    Returns
    -------
    Path of report.html

    Raises
    ------
    InputError
        No card, a card that holds nonsense, or a folder that cannot be written to.
    """
    kept = list({_identity(card): card for card in map(checked_card, cards)}.values())
    if not kept:
        raise InputError("There is no result card to report; run  anomalens evaluate … --json FILE.")
    folder = report_folder(out)
    _write(folder / "report.md", render_markdown(kept))
    _write(folder / "report.json", _cards_json(kept))
    # the page is last: where it is there and ours, its twins are there too
    _write(folder / "report.html", render_report(kept, pictures=pictures, max_bytes=max_bytes))
    return folder / "report.html"


def report_folder(out: str | Path) -> Path:
    """The folder, made if need be; refused early where a report cannot be written there.

    Raises
    ------
    InputError
        It is a file, cannot be made or written to, or holds files of a report's name that no report of ours
        wrote.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file and the report needs a folder; choose another name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / "report.html"
        ours = page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")[:5000]
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {folder} ({error.strerror}); choose another folder."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"The report's folder {folder} may not be written to; choose another.")
    for name in _FILES:
        if not ours and os.path.lexists(folder / name):
            raise InputError(
                f"{folder / name} is there and no report of Anomalens wrote it; choose another folder, or "
                "move that file."
            )
    return folder


def _identity(card: ResultCard) -> str:
    return json.dumps(card.to_json(), sort_keys=True)


def _cards_json(cards: Sequence[ResultCard]) -> str:
    return (
        json.dumps([card.to_json() for card in cards], ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    )


def _write(path: Path, text: str) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as beside:
            part = Path(beside) / path.name
            # a name that is no Unicode text; in JSON its escape is read back as it was
            part.write_bytes(text.encode("utf-8", "backslashreplace"))
            part.replace(path)
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {path} ({error.strerror}); choose another folder or make room."
        ) from None

"""The evaluation report: report.html for people, report.md and report.json, its twins.

`report.json` holds the result cards and nothing else, so that it can be read, compared and reported
again. Files of an earlier report are replaced; a foreign file is never.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard
from anomalens.reports.evaluation.album import Album
from anomalens.reports.evaluation.checked_card import checked_card
from anomalens.reports.evaluation.page import EvaluationPage
from anomalens.reports.parts.owned_folder import OwnedFolder

MAX_BYTES: Final = 5_000_000
_FILES: Final = ("report.html", "report.md", "report.json")


def write_report(
    cards: Sequence[ResultCard], out: str | Path, *, album: Album | None = None, max_bytes: int = MAX_BYTES
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
    album : Album, optional
        The pictures, taken while the cards were made. Without one the page has none, and says so.
    max_bytes : int
        How large report.html may be; pictures, then sections, are left out to stay below, and it says so.

    Returns
    -------
    Path of report.html

    Raises
    ------
    InputError
        No card, a card that holds nonsense, or a folder that cannot be written to.
    """
    plain = [checked_card(card).to_json() for card in cards]
    kept = {json.dumps(data, sort_keys=True): i for i, data in enumerate(plain)}.values()
    if not kept:
        raise InputError("There is no result card to report; run  anomalens evaluate … --json FILE.")
    page = EvaluationPage([cards[i] for i in kept], album)
    folder = report_folder(out)
    listed = json.dumps([plain[i] for i in kept], ensure_ascii=False, allow_nan=False, indent=1)
    folder.write("report.json", f"{listed}\n")
    folder.write("report.md", page.markdown())
    folder.write("report.html", page.html(max_bytes=max_bytes))
    folder.finish()
    return folder.out / "report.html"


def report_folder(out: str | Path) -> OwnedFolder:
    """The folder, made if need be; `InputError` where a report cannot be written there."""
    return OwnedFolder(Path(out), fixed=_FILES, listed_in=".anomalens-evaluation.json")

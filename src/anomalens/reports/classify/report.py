"""Writing a classifier's report: report.html for people, report.md, and report.json, the card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from anomalens.reports.classify.numbers import SetScores, WrongPicture
from anomalens.reports.classify.page import classify_page
from anomalens.reports.parts.as_markdown import as_markdown
from anomalens.reports.parts.owned_folder import OwnedFolder
from anomalens.reports.parts.page import html_page

_FILES: Final = ("report.html", "report.md", "report.json")


def write_classify_report(
    card: Mapping[str, Any],
    out: Path,
    *,
    scores: Mapping[str, SetScores] | None = None,
    wrong: Sequence[WrongPicture] = (),
) -> Path:
    """Write the report into a folder, made if need be, and give the path of report.html.

    Parameters as of `classify_page`.

    Raises
    ------
    InputError
        A card that lacks what is needed, or a folder that cannot be written to.
    """
    blocks = classify_page(card, scores, wrong)
    folder = OwnedFolder(out, fixed=_FILES, listed_in=".anomalens-classifier.json")
    folder.write("report.json", f"{json.dumps(card, ensure_ascii=False, indent=1)}\n")
    folder.write("report.md", as_markdown(blocks))
    beside = ("Beside it: report.md, the same in Markdown, and report.json, the result card.",)
    title = f"Classifier of {card.get('dataset', 'pictures')}"
    folder.write("report.html", html_page(title, blocks, beside=beside, images="data:"))
    folder.finish()
    return folder.out / "report.html"

"""Write the measured rows of docs/detectors from result cards.

    anomalens benchmark suites/classical.toml --feature-cache DIR
    python scripts/fill_measured_rows.py benchmark-cards

Rewrites the table below **Measured** on the page of each detector that has cards. One-vs-rest sets are means
over their classes, and are left out while a class is missing.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Final

from anomalens.evaluation.cards import ResultCard, read_cards

PAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "detectors"
HEAD: Final = "| set | image AUROC | 95 % interval |"  # tables with other columns are written by hand
TABLE: Final = re.compile(
    r"(\*\*Measured\*\*(?:(?!\n\|).)*?\n\n)(" + re.escape(HEAD) + r".*?\n)(?=\n|\Z)", re.DOTALL
)
CLASSES: Final = {"mnist": 10, "fashion-mnist": 10, "cifar10": 10, "fer2013": 7, "grocery_store": 3}


def main() -> None:
    """Fill in what the cards of the given folders say."""
    cards = [card for folder in sys.argv[1:] for card in read_cards(sorted(Path(folder).glob("*.json")))]
    for page in sorted(PAGES.glob("*.md")):
        rows = list(_rows([card for card in cards if card.detector.partition(":")[0] == page.stem]))
        text = page.read_text(encoding="utf-8")
        place = TABLE.search(text)
        if rows and place is not None:
            table = "\n".join([HEAD, "| --- | --: | --- |", *rows, ""])
            changed = text[: place.start(2)] + table + text[place.end(2) :]
            page.write_text(changed, encoding="utf-8")
            print(f"wrote {page.name}: {len(rows)} rows")


def _rows(cards: list[ResultCard]) -> list[str]:
    by_set: dict[str, list[ResultCard]] = defaultdict(list)
    for card in cards:
        if card.error is None and card.seed == 0:
            by_set[card.dataset].append(card)
    rows = []
    for dataset, found in by_set.items():
        figures = [card.image_auroc for card in found if card.image_auroc is not None]
        if len(found) == 1 and found[0].protocol == "split" and figures:
            low, high = found[0].ci["image_auroc"]
            rows.append(f"| {dataset} | {figures[0]:.3f} | {low:.3f} to {high:.3f} |")
        elif len(figures) == CLASSES.get(dataset):
            rows.append(f"| {dataset} | {mean(figures):.3f} | mean of {len(figures)} classes |")
    return rows


if __name__ == "__main__":
    main()

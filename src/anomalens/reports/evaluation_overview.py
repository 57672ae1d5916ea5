"""The overview of several cards: one table, mean ranks, paired differences; as Markdown and as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.compare import Comparison, compare_cards
from anomalens.evaluation.results_table import results_table
from anomalens.reports.evaluation_texts import card_names, seen

ROWS_SHOWN: Final = 400
DIFFERENCES_SHOWN: Final = 60
_FIGURE: Final = re.compile(r"[-+]?[0-9.]+( [(±]|$)")
# a row that no screen is wide enough for hides what matters
_ONLY_IN_MARKDOWN: Final = ("F1-max", "pixel AP", "fit s", "peak MB")
_ONE_CLASS: Final = ", mean of 1 classes**"


@dataclass(frozen=True)
class Overview:
    """Tables as lists of rows of plain texts, the heading first."""

    results: list[list[str]]
    ranks: list[list[str]]
    differences: list[list[str]]
    notes: tuple[str, ...]


def overview_of(cards: Sequence[ResultCard]) -> Overview:
    """Average over seeds and compare detectors that share a task."""
    told = [
        replace(
            card,
            detector=name,
            dataset=_in_a_cell(card.dataset),
            category=card.category and _in_a_cell(card.category),
            normal_class=card.normal_class and _in_a_cell(card.normal_class),
            error=None if card.error is None else seen(card.error),
        )
        for card, name in zip(cards, map(_in_a_cell, card_names(cards)), strict=True)
    ]
    lines = results_table(told).splitlines()
    rows = [_cells(line) for line in lines if line.startswith("|") and _ONE_CLASS not in line]
    rows.pop(1)  # the line of dashes
    notes = [line for line in lines if line and not line.startswith("|")][:ROWS_SHOWN]
    if len(rows) > ROWS_SHOWN + 1:
        notes.append(f"{len(rows) - 1 - ROWS_SHOWN} more rows are left out; report.json has all cards.")
    try:
        comparison = compare_cards(told)
    except InputError:  # no two detectors share a task, which is no fault of a report
        return Overview(rows[: ROWS_SHOWN + 1], [], [], tuple(notes))
    notes += [note for note in comparison.notes if note.startswith("Not compared")]
    ranks, differences, more = _comparison_rows(comparison)
    return Overview(rows[: ROWS_SHOWN + 1], ranks, differences, (*notes, *more))


def _comparison_rows(found: Comparison) -> tuple[list[list[str]], list[list[str]], list[str]]:
    ranks: list[list[str]] = []
    if len(found.mean_ranks) > 1:
        ranked = sorted(found.mean_ranks.items(), key=lambda item: item[1])
        ranks = [["detector", f"mean rank (1 is best); pairs of task and seed: {found.n_tasks}"]]
        ranks += [[name, f"{rank:.2f}"] for name, rank in ranked]
    differences = [["task", "seed", "A", "B", "AUROC A", "AUROC B", "A − B", "95 % interval", "p (DeLong)"]]
    widest = sorted(found.differences, key=lambda d: -abs(d.test.difference))
    for d in widest[:DIFFERENCES_SHOWN]:
        t = d.test
        differences.append([
            d.task, str(d.seed), d.a, d.b, f"{t.auroc_a:.4f}", f"{t.auroc_b:.4f}", f"{t.difference:+.4f}",
            f"{t.low:+.4f} to {t.high:+.4f}", f"{t.p:.3g}",
        ])  # fmt: skip
    more = len(widest) - DIFFERENCES_SHOWN
    note = [f"{more} smaller differences are left out; anomalens compare lists all."] if more > 0 else []
    return ranks, differences if len(differences) > 1 else [], note


def _in_a_cell(text: str) -> str:
    # A backslash before a bar would undo the bar's own escape in the table.
    return seen(text).replace("\\", "∖")


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return [cell.strip().replace("\\|", "|") for cell in cells]


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as an HTML table that scrolls sideways on a phone."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = []
    for row in rows[1:]:
        bold = row[0].startswith("**") and row[0].endswith("**") and len(row[0]) > 4
        cells = [row[0][2:-2] if bold else row[0], *row[1:]]
        body.append("<tr>" + "".join(_html_cell(cell, "th" if bold else "td") for cell in cells) + "</tr>")
    return (
        f'<div class="scroll compact"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody>'
        "</table></div>"
    )


def _html_cell(text: str, tag: str) -> str:
    if not _FIGURE.match(text):
        return f"<{tag}>{escape(text)}</{tag}>"
    # a figure keeps its interval on one line below it
    broken = re.sub(r" (?=[(±])", "<br>", escape(text))
    return f'<{tag} class="number">{broken}</{tag}>'


def html_overview(overview: Overview) -> str:
    """The overview as HTML."""
    kept = [i for i, head in enumerate(overview.results[0]) if head not in _ONLY_IN_MARKDOWN]
    parts = ["<h2>Overview</h2>", html_table([[row[i] for i in kept] for row in overview.results])]
    parts.append(
        '<p class="soft">Mean ± standard deviation over seeds; of one seed (95 % interval). More figures: '
        "below, and in report.md.</p>"
    )
    if overview.ranks:
        parts.append(f"<h3>Ranks by image AUROC</h3>{html_table(overview.ranks)}")
    if overview.differences:
        parts.append(f"<h3>Paired differences on the same images</h3>{html_table(overview.differences)}")
    parts += [f'<p class="note">{escape(note)}</p>' for note in overview.notes]
    return "".join(parts)

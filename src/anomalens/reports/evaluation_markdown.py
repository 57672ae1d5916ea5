"""The evaluation report in Markdown: the same words and tables, without drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.sweep import sweep_rows
from anomalens.reports.evaluation_densities import density_rows
from anomalens.reports.evaluation_method import method_of
from anomalens.reports.evaluation_numbers import CardNumbers
from anomalens.reports.evaluation_overview import overview_of
from anomalens.reports.evaluation_pictures import chosen
from anomalens.reports.evaluation_remarks import GRADES, headline, remarks_on
from anomalens.reports.evaluation_sweeps import swept_groups, swept_of
from anomalens.reports.evaluation_tables import (
    Row,
    calibration_facts,
    cost_facts,
    data_facts,
    drift_sentence,
    figure_rows,
    kind_rows,
    kinds_left_out,
    method_facts,
    pixel_rows,
    verdict_rows,
)
from anomalens.reports.evaluation_texts import card_names, seen

_GROUPS = {
    "miss": "missed", "false-alarm": "false alarm", "found": "found last", "quiet": "nearest to a false alarm"
}  # fmt: skip


def render_markdown(cards: Sequence[ResultCard]) -> str:
    """The whole report."""
    return "\n".join(_lines(cards)) + "\n"


def _lines(cards: Sequence[ResultCard]) -> Iterator[str]:
    yield "# Evaluation report"
    yield ""
    yield (
        "All figures are of raw scores. The threshold was chosen from normal training images only; test "
        "labels were used for figures alone. Intervals are 95 %."
    )
    if len(cards) > 1:
        for head, members in swept_groups(cards).items():
            yield from ("", f"## {_plain(head)}", "")
            yield from _table(list(sweep_rows(members)))
        if others := [card for card in cards if not swept_of(card.settings)]:
            yield from _overview(others)
    for card, name in zip(cards, card_names(cards), strict=True):
        yield from ("", f"## {_plain(seen(card.title))} · {_plain(name)} · seed {card.seed}", "")
        if card.error is not None:
            yield f"Failed: {_plain(seen(card.error))}"
        else:
            yield from _section(CardNumbers(card))
        if card.command:
            yield from ("", "Reproduce:", "", f"    {seen(card.command)}")


def _overview(cards: Sequence[ResultCard]) -> Iterator[str]:
    overview = overview_of(cards)
    yield from ("", "## Overview", "")
    yield from _table([[_unbold(cell) for cell in row] for row in overview.results])
    for head, rows in (
        ("Ranks by image AUROC", overview.ranks),
        ("Paired differences", overview.differences),
    ):
        if rows:
            yield from ("", f"### {head}", "")
            yield from _table(rows)
    for note in overview.notes:
        yield from ("", _plain(note))


def _section(numbers: CardNumbers) -> Iterator[str]:
    remarks = remarks_on(numbers)
    yield f"**{GRADES[remarks.grade]}.** {_plain(headline(numbers))} {_plain(remarks.why)}"
    for head, sentences in (
        ("Strengths", remarks.strengths), ("Limits", remarks.limits), ("What to do", remarks.recommendations)
    ):  # fmt: skip
        if sentences:
            yield from ("", f"### {head}", "")
            yield from (f"- {_with_code(text)}" for text in sentences)
    yield from ("", "### Figures", "")
    rows = [*figure_rows(numbers), *verdict_rows(numbers), *pixel_rows(numbers)]
    yield from _table([["figure", "value", "95 %", "what it says"], *map(_row, rows)])
    counts = numbers.card.confusion
    if counts is not None:
        yield ""
        yield from _table([
            ["", "flagged", "not flagged"],
            ["anomalous", str(counts["tp"]), str(counts["fn"])],
            ["normal", str(counts["fp"]), str(counts["tn"])],
        ])  # fmt: skip
    if numbers.kinds:
        yield from ("", "### Kinds of anomaly", "")
        yield from _table(kind_rows(numbers))
        yield kinds_left_out(numbers)
    wanted = chosen(numbers)
    if wanted:
        yield from ("", "### Worst misses and false alarms", "")
        yield from _table([
            ["image", "label", "score", ""],
            *([seen(s.image), seen(s.label), f"{s.score:.4g}", _GROUPS[group]] for group, s in wanted),
        ])  # fmt: skip
    yield from ("", "### Calibration", "")
    yield from _facts(calibration_facts(numbers))
    if len(numbers.calibration):
        yield from ("", _plain(drift_sentence(numbers)))
    if parts := density_rows(numbers.card.settings):
        yield from ("", "### Parts of the score", "")
        yield from _table(parts)
    method = method_of(numbers.card.detector)
    yield from ("", "### Method", "", _plain(method.title))
    for text in (method.does, method.fails and f"When it fails. {method.fails}"):
        if text:
            yield from ("", _plain(text))
    yield from ("", "### Data, settings and cost", "")
    yield from _facts([*data_facts(numbers), *method_facts(numbers), *cost_facts(numbers)])
    yield from (f"- Note: {_plain(seen(note))}" for note in dict.fromkeys(numbers.card.notes))


def _row(row: Row) -> list[str]:
    return [row.name, row.value, row.interval, row.meaning]


def _facts(facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield from (f"- {head}: {_plain(text)}" for head, text in facts)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for i, row in enumerate(rows):
        yield "| " + " | ".join(_plain(cell) for cell in row) + " |"
        if i == 0:
            yield "|" + " --- |" * len(row)


def _unbold(cell: str) -> str:
    return cell[2:-2] if cell.startswith("**") and cell.endswith("**") and len(cell) > 4 else cell


def _with_code(sentence: str) -> str:
    parts = re.split("(`[^`]+`)", sentence)
    return "".join(part if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    """Text in which nothing is markup, to Markdown or to the HTML that may be made of it."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", safe)

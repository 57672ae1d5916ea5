"""The overview of several cards: a table with means, curves of detectors together, paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.compare import Comparison, compare_cards
from anomalens.evaluation.names import card_names
from anomalens.evaluation.results_table import mean_cells, result_rows
from anomalens.reports.evaluation.curves import roc_chart
from anomalens.reports.evaluation.numbers import CardNumbers
from anomalens.reports.parts import document as doc

ROWS_SHOWN: Final = 400
DIFFERENCES_SHOWN: Final = 60
_TASKS_DRAWN: Final = 12
_LINES_DRAWN: Final = 8
# a row that no screen is wide enough for hides what matters; each section has them all
_LEFT_OUT: Final = ("F1-max", "pixel AP", "fit s", "peak MB")
_NAMES: Final = 4  # columns that hold no figure


def overview(cards: Sequence[ResultCard], *, curves: bool = True) -> Iterator[doc.Block]:
    """Figures averaged over seeds and tasks; detectors that share a task are compared.

    Parameters
    ----------
    cards : sequence of ResultCard
    curves : bool
        Whether the curves of detectors on one task are drawn.
    """
    yield doc.Heading(2, "Overview")
    head, *rows = result_rows(cards)
    kept = [i for i, name in enumerate(head) if name not in _LEFT_OUT]
    yield doc.Table(
        tuple(head[i] for i in kept),
        tuple(tuple(_cell(row, i) for i in kept) for row in rows[:ROWS_SHOWN] + _means(cards)),
    )
    yield doc.Paragraph(
        "Mean ± standard deviation over seeds; of one seed (95 % interval). More figures: in each evaluation "
        "below.",
        "soft",
    )
    if len(rows) > ROWS_SHOWN:
        more = len(rows) - ROWS_SHOWN
        yield doc.Paragraph(f"{more} more rows are left out; report.json has all cards.", "note")
    if curves:
        yield from _curves(cards)
    try:
        comparison = compare_cards(cards)
    except InputError:  # no two detectors share a task, which is no fault of a report
        return
    yield from _compared(comparison)


def _cell(row: Sequence[str], column: int) -> doc.Words:
    text = row[column]
    if row[0].startswith("**"):  # a mean
        return (doc.Mark(text.strip("*")),) if text else ""
    value, bracket, interval = text.partition(" (")
    if column < _NAMES or not bracket:
        return text
    return value, doc.Mark(f"({interval}", "under")


def _means(cards: Sequence[ResultCard]) -> list[list[str]]:
    """For each detector the mean over the tasks that all detectors have, where these are several."""
    by_name: dict[str, dict[str, list[ResultCard]]] = {}
    for card, name in zip(cards, card_names(cards), strict=True):
        if card.error is None:
            by_name.setdefault(name, {}).setdefault(f"{card.title} {card.protocol}", []).append(card)
    if not by_name:
        return []
    first, *others = by_name.values()
    shared = [task for task in first if all(task in found for found in others)]
    classes = {(c.dataset, c.shots) if c.normal_class else (c.title, c.protocol) for c in cards}
    if len(shared) < 2 or len(classes) < 2:  # the classes of one dataset have their mean already
        return []
    title = f"**mean of {len(shared)} tasks**"
    return [mean_cells(title, name, [found[task] for task in shared]) for name, found in by_name.items()]


def _curves(cards: Sequence[ResultCard]) -> Iterator[doc.Block]:
    """For each task that several detectors share, a line for each of them: the first seed's."""
    tasks: dict[tuple[str, str], dict[str, CardNumbers]] = {}
    for card, name in zip(cards, card_names(cards), strict=True):
        numbers = CardNumbers(card)
        if card.error is None and len(numbers.normal) and len(numbers.anomalous):
            tasks.setdefault((card.title, card.protocol), {}).setdefault(name, numbers)
    charts = [
        roc_chart(dict(list(found.items())[:_LINES_DRAWN]), title)
        for (title, _), found in tasks.items()
        if len(found) > 1
    ]
    if charts:
        yield doc.Heading(3, "ROC curves")
        yield doc.Box(tuple(charts[:_TASKS_DRAWN]), "curves")
        if len(charts) > _TASKS_DRAWN or max(map(len, tasks.values())) > _LINES_DRAWN:
            most = f"{_TASKS_DRAWN} tasks and {_LINES_DRAWN} detectors"
            yield doc.Paragraph(f"At most {most} are drawn; report.json has all cards.", "soft")


def _compared(found: Comparison) -> Iterator[doc.Block]:
    if len(found.mean_ranks) > 1:
        ranked = sorted(found.mean_ranks.items(), key=lambda item: item[1])
        yield doc.Heading(3, "Ranks by image AUROC")
        yield doc.Table(
            ("detector", f"mean rank (1 is best); pairs of task and seed: {found.n_tasks}"),
            tuple((name, f"{rank:.2f}") for name, rank in ranked),
        )
    rows: list[tuple[doc.Words, ...]] = []
    widest = sorted(found.differences, key=lambda d: -abs(d.test.difference))
    for d in widest[:DIFFERENCES_SHOWN]:
        t = d.test
        rows.append((
            d.task, str(d.seed), d.a, d.b, f"{t.auroc_a:.4f}", f"{t.auroc_b:.4f}", f"{t.difference:+.4f}",
            f"{t.low:+.4f} to {t.high:+.4f}", f"{t.p:.3g}",
        ))  # fmt: skip
    if rows:
        yield doc.Heading(3, "Paired differences on the same images")
        yield doc.Table(
            ("task", "seed", "A", "B", "AUROC A", "AUROC B", "A − B", "95 % interval", "p (DeLong)"),
            tuple(rows),
        )
    if (more := len(widest) - DIFFERENCES_SHOWN) > 0:
        yield doc.Paragraph(f"{more} smaller differences are left out; anomalens compare lists all.", "note")
    for note in found.notes:
        if note.startswith("Not compared"):
            yield doc.Paragraph(note, "note")

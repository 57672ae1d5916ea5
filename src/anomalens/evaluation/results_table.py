"""Result cards as one Markdown table: seeds averaged, one-vs-rest classes averaged once more.

Mean ± standard deviation over the seeds, and in brackets the first seed's 95 % interval: the one says how
much the detector varies, the other how much so few test images can tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.names import card_names
from anomalens.metrics.intervals import over_seeds

FIGURES: Final = (
    ("image_auroc", "image AUROC"), ("image_ap", "image AP"), ("image_f1_max", "F1-max"),
    ("pixel_auroc", "pixel AUROC"), ("pixel_ap", "pixel AP"), ("aupro", "AUPRO"),
    ("false_alarm_rate", "false alarms"), ("detection_rate", "found"),
)  # fmt: skip
SUMMARY: Final = (  # whether the interval is shown beside: a terminal is narrow
    ("image_auroc", "AUROC", True), ("image_ap", "AP", False), ("pixel_auroc", "pixel AUROC", True),
    ("aupro", "AUPRO", True), ("false_alarm_rate", "false alarms", False), ("detection_rate", "found", False),
)  # fmt: skip
LEGEND: Final = (
    "Mean ± standard deviation over the seeds; in brackets the first seed's 95 % interval (stratified "
    "bootstrap over images, of a figure of 1 Newcombe's; exact binomial for the two rates at the calibrated "
    "threshold). Fractions; raw scores. Times and memory are means over the seeds, on a machine that may "
    "have had other work; memory is the peak of the process, interpreter and libraries included."
)
Groups = dict[tuple[str, str, str], dict[int, ResultCard]]
COSTS: Final = (("fit_seconds", "fit s", 1), ("ms_per_image", "ms/image", 1), ("peak_mb", "peak MB", 0))


def results_page(title: str, cards: Iterable[ResultCard], *, earlier: Path | None = None) -> str:
    """The table below its title, the remarks of an earlier such page, and what its figures are.

    Remarks are the paragraphs between the title and the table, the conclusion first: what a person wrote
    outlives a new table.
    """
    return "\n\n".join([f"# {title}", *_remarks(earlier), LEGEND, results_table(cards)])


def _remarks(page: Path | None) -> list[str]:
    try:
        text = page.read_text(encoding="utf-8") if page is not None else ""
    except (OSError, UnicodeDecodeError):
        return []
    above = text.partition("\n|")[0]
    begins = LEGEND.partition(";")[0]  # its end has changed from version to version
    parts = [part for part in (part.strip("\n") for part in above.split("\n\n")[1:]) if part]
    remarks = [part for part in parts if not part.startswith(begins)]
    return remarks if len(remarks) < len(parts) else []  # no legend: some other file


def results_table(cards: Iterable[ResultCard]) -> str:
    """`result_rows` as Markdown, and what failed below."""
    groups = _grouped(cards)
    head, *rows = _rows(groups)
    lines = [_row(head), _row(["---"] * 4 + ["--:"] * (len(head) - 4)), *map(_row, rows)]
    for (_, _, detector), found in groups.items():
        for card in found.values():
            if card.error is not None:
                lines += ["", f"Failed: {card.title}, {detector}, seed {card.seed}: {card.error}"]
    return "\n".join(lines) + "\n"


def result_rows(cards: Iterable[ResultCard]) -> list[list[str]]:
    """One row per task, detector and settings below a heading, as texts.

    Where cards differ in nothing, seed included, the last counts; failed ones have no row.
    """
    return list(_rows(_grouped(cards)))


def _grouped(cards: Iterable[ResultCard]) -> Groups:
    """Cards by task, protocol and name, then by seed."""
    given = list(cards)
    groups: Groups = defaultdict(dict)
    for card, name in zip(given, card_names(given), strict=True):
        groups[card.title, card.protocol, name][card.seed] = card
    return groups


def _rows(groups: Groups) -> Iterator[list[str]]:
    yield [
        "task", "detector", "seeds", "train / test",
        *(head for _, head in FIGURES), *(head for _, head, _ in COSTS),
    ]  # fmt: skip
    one_vs_rest: dict[tuple[str, int | None, str], list[list[ResultCard]]] = defaultdict(list)
    for (title, _, detector), found in groups.items():
        good = [card for card in found.values() if card.error is None]
        if not good:
            continue
        # with a few shots it is still one class against the rest
        if good[0].normal_class is not None and good[0].protocol in ("one-vs-rest", "few-shot"):
            one_vs_rest[good[0].dataset, good[0].shots, detector].append(good)
        yield _cells(title, detector, good)
    for (dataset, shots, detector), members in one_vs_rest.items():
        if len(members) > 1:
            name = dataset if shots is None else f"{dataset} ({shots} shots)"
            yield mean_cells(f"**{name}, mean of {len(members)} classes**", detector, members)


def _cells(title: str, detector: str, cards: Sequence[ResultCard]) -> list[str]:
    first = cards[0]
    texts = [title, detector, str(len(cards)), f"{first.n_train} / {first.n_test}"]
    for name, _ in FIGURES:
        values = [v for card in cards if (v := getattr(card, name)) is not None]
        if not values:
            texts.append("–")
            continue
        text = f"{over_seeds(values).mean:.4f}"
        if len(values) > 1:
            text += f" ± {over_seeds(values).sd or 0:.4f}"
        if interval := _interval(first, name):
            text += f" ({interval})"
        texts.append(text)
    return texts + _costs(cards)


def _costs(cards: Sequence[ResultCard]) -> list[str]:
    texts = []
    for name, _, digits in COSTS:
        values = [v for card in cards if (v := getattr(card, name)) is not None]
        texts.append(f"{sum(values) / len(values):.{digits}f}" if values else "–")
    return texts


def mean_cells(title: str, detector: str, members: Sequence[Sequence[ResultCard]]) -> list[str]:
    """A row of means: over tasks for each seed, then mean ± sd over the seeds.

    Parameters
    ----------
    title, detector : str
        The first two cells.
    members : sequence of sequences of ResultCard
        For each task the cards of all seeds, none of them failed.
    """
    texts = [title, detector, str(len(members[0])), ""]
    for name, _ in FIGURES:
        by_seed: dict[int, list[float]] = defaultdict(list)
        for cards in members:
            for card in cards:
                value = getattr(card, name)
                if value is not None:
                    by_seed[card.seed].append(value)
        means = [sum(values) / len(values) for values in by_seed.values()]
        if not means:
            texts.append("–")
            continue
        summary = over_seeds(means)
        texts.append(f"{summary.mean:.4f}" + (f" ± {summary.sd:.4f}" if summary.sd is not None else ""))
    return texts + _costs([card for cards in members for card in cards])


def summary_rows(cards: Iterable[ResultCard]) -> Iterator[list[str]]:
    """A few figures of each card as texts, for tables on the terminal; the first row is the heading."""
    heads = ["task", "detector", "seed"]
    for _, head, beside in SUMMARY:
        heads += [head, "95 %"] if beside else [head]
    yield heads
    for card in cards:
        cells = [card.title, card.detector, str(card.seed)]
        if card.error is not None:
            yield [*cells, f"failed: {card.error}"]
            continue
        for name, _, beside in SUMMARY:
            value = getattr(card, name)
            cells.append("–" if value is None else f"{value:.4f}")
            if beside:
                cells.append(_interval(card, name) or "–")
        yield cells


def _interval(card: ResultCard, name: str) -> str:
    """A figure's 95 % interval as a text; empty where the card has none."""
    limits = card.ci.get(name)
    return "" if limits is None else f"{limits[0]:.3f}–{limits[1]:.3f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

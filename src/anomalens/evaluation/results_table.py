"""Result cards as one Markdown table: seeds averaged, one-vs-rest classes averaged once more.

Mean ± standard deviation over the seeds, and in brackets the first seed's 95 % interval: the one says how
much the detector varies, the other how much so few test images can tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.intervals import over_seeds

FIGURES: Final = (
    ("image_auroc", "image AUROC"), ("image_ap", "image AP"), ("image_f1_max", "F1-max"),
    ("pixel_auroc", "pixel AUROC"), ("pixel_ap", "pixel AP"), ("aupro", "AUPRO"),
    ("false_alarm_rate", "false alarms"), ("detection_rate", "found"),
)  # fmt: skip
COSTS: Final = (("fit_seconds", "fit s", 1), ("ms_per_image", "ms/image", 1), ("peak_mb", "peak MB", 0))


def results_table(cards: Iterable[ResultCard], *, classes: bool = True) -> str:
    """One row per task and detector.

    Parameters
    ----------
    cards : iterable of ResultCard
    classes : bool
        Whether each class of a one-vs-rest dataset has a row beside their mean.
    """
    groups: dict[tuple[str, str], list[ResultCard]] = defaultdict(list)
    for card in cards:
        groups[card.title, card.detector].append(card)
    heads = [
        "task", "detector", "seeds", "train / test",
        *(head for _, head in FIGURES), *(head for _, head, _ in COSTS),
    ]  # fmt: skip
    lines = [_row(heads), _row(["---"] * 4 + ["--:"] * (len(heads) - 4))]
    one_vs_rest: dict[tuple[str, str], list[list[ResultCard]]] = defaultdict(list)
    failed = []
    for (title, detector), found in groups.items():
        good = [card for card in found if card.error is None]
        failed += [card for card in found if card.error is not None]
        if not good:
            continue
        if good[0].protocol == "one-vs-rest":
            one_vs_rest[good[0].dataset, detector].append(good)
        if classes or good[0].protocol != "one-vs-rest":
            lines.append(_row(_cells(title, detector, good)))
    for (dataset, detector), members in one_vs_rest.items():
        if len(members) == 1:
            continue
        lines.append(_row(_mean_cells(dataset, detector, members)))
    for card in failed:
        lines += ["", f"Failed: {card.title}, {card.detector}, seed {card.seed}: {card.error}"]
    return "\n".join(lines) + "\n"


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
        if name in first.ci:
            low, high = first.ci[name]
            text += f" ({low:.3f}–{high:.3f})"
        texts.append(text)
    return texts + _costs(cards)


def _costs(cards: Sequence[ResultCard]) -> list[str]:
    texts = []
    for name, _, digits in COSTS:
        values = [v for card in cards if (v := getattr(card, name)) is not None]
        texts.append(f"{sum(values) / len(values):.{digits}f}" if values else "–")
    return texts


def _mean_cells(dataset: str, detector: str, members: Sequence[Sequence[ResultCard]]) -> list[str]:
    """The mean over classes for each seed, then mean ± sd over the seeds."""
    texts = [f"**{dataset}, mean of {len(members)} classes**", detector, str(len(members[0])), ""]
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


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

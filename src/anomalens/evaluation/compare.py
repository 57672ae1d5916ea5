"""Compare detectors on the same tasks: paired differences with intervals, and ranks over tasks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.names import card_names
from anomalens.images.labels import GOOD
from anomalens.metrics.intervals import DeLong, delong_test

Key = tuple[str, str, int]  # task, protocol, seed


@dataclass(frozen=True)
class Difference:
    """Two detectors' image AUROC on one task and seed, compared image by image (DeLong)."""

    task: str
    seed: int
    a: str
    b: str
    test: DeLong


@dataclass(frozen=True)
class Comparison:
    """Paired differences, mean rank of each detector over the tasks all of them have, and remarks."""

    differences: tuple[Difference, ...]
    mean_ranks: Mapping[str, float]
    n_tasks: int
    notes: tuple[str, ...]

    def to_markdown(self) -> str:
        """Both tables."""
        lines = []
        if self.mean_ranks:
            lines += [
                f"Mean rank by image AUROC over {self.n_tasks} tasks and seeds (1 is best):",
                "",
                "| detector | mean rank |",
                "| --- | --: |",
                *(f"| {name} | {rank:.2f} |" for name, rank in sorted(self.mean_ranks.items(), key=_second)),
                "",
            ]
        lines += [
            "| task | seed | A | B | AUROC A | AUROC B | A − B | 95 % interval | p (DeLong) |",
            "| --- | --: | --- | --- | --: | --: | --: | --- | --: |",
        ]
        for d in self.differences:
            t = d.test
            lines.append(
                f"| {d.task} | {d.seed} | {d.a} | {d.b} | {t.auroc_a:.4f} | {t.auroc_b:.4f} "
                f"| {t.difference:+.4f} | {t.low:+.4f} to {t.high:+.4f} | {t.p:.3g} |"
            )
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def compare_cards(cards: Iterable[ResultCard]) -> Comparison:
    """Compare all detectors that were evaluated on the same images.

    Raises
    ------
    InputError
        Fewer than two detectors share a task.
    """
    by_task: dict[Key, dict[str, ResultCard]] = defaultdict(dict)
    notes = []
    given = list(cards)
    for card, name in zip(given, card_names(given), strict=True):
        if card.error is not None:
            notes.append(f"Left out, it failed: {card.title}, {name}: {card.error}")
            continue
        by_task[card.title, card.protocol, card.seed][name] = card  # of a card that is there twice, the last
    shared = {key: found for key, found in by_task.items() if len(found) > 1}
    if not shared:
        raise InputError(
            "These cards hold no two detectors on one task; evaluate with --detector A --detector B."
        )
    differences = []
    for (task, _, seed), found in shared.items():
        for a, b in combinations(found, 2):
            if found[a].data_sha256 != found[b].data_sha256:
                notes.append(f"Not compared: {a} and {b} saw different images of {task}.")
                continue
            pair = _paired(found[a], found[b])
            if pair is None:
                notes.append(
                    f"Not compared: {a} and {b} share no two normal and two anomalous images of {task}."
                )
                continue
            differences.append(Difference(task, seed, a, b, delong_test(*pair)))
    return Comparison(tuple(differences), _mean_ranks(shared), len(shared), tuple(notes))


def _paired(a: ResultCard, b: ResultCard) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Scores of both and labels, on the images that both could read."""
    second = {score.image: score.score for score in b.scores}
    rows = [
        (score.score, second[score.image], score.label != GOOD)
        for score in a.scores
        if score.score is not None and second.get(score.image) is not None
    ]
    labels = np.array([row[2] for row in rows], bool)
    if labels.sum() < 2 or (~labels).sum() < 2:
        return None
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), labels


def _mean_ranks(shared: Mapping[Key, Mapping[str, ResultCard]]) -> dict[str, float]:
    """Ranks among the detectors that every shared task has; ties share their mean rank."""
    common = set.intersection(*(set(found) for found in shared.values()))
    ranks: dict[str, list[float]] = {name: [] for name in common}
    for found in shared.values():
        values = {name: found[name].image_auroc for name in common}
        known = {name: value for name, value in values.items() if value is not None}
        if len(known) < len(common):
            continue
        for name, value in known.items():
            better = sum(other > value for other in known.values())
            equal = sum(other == value for other in known.values())
            ranks[name].append(better + (equal + 1) / 2)
    return {name: float(np.mean(r)) for name, r in ranks.items() if r}


def _second(item: tuple[str, float]) -> float:
    return item[1]


REFERENCE_TITLE: Final = (
    "Published figures of these datasets (full data, other networks: not comparable one to one):"
)


def published_rows(reference: Path, cards: Sequence[ResultCard]) -> list[str]:
    """Lines of a reference table (Markdown) that name a dataset of the cards.

    The table's first column names the dataset, spelled like the cards' but for case and punctuation; see
    docs/reference-results.md.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    names = {_plain(card.dataset) for card in cards}
    try:
        lines = reference.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The reference table {reference} cannot be read: {error}.") from None
    table = [line for line in lines if line.startswith("|")]
    if len(table) < 3:
        return []
    rows = [row for row in table[2:] if _plain(row.split("|")[1]) in names]
    return [REFERENCE_TITLE, "", *table[:2], *rows] if rows else []


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())

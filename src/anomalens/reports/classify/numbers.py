"""What a classifier's card says, checked once and with the numbers that its page needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import InputError
from anomalens.metrics.verdicts import Rate, clopper_pearson

Scores = NDArray[np.float64]
PAIRS: Final = 8  # confusions that are told
PER_PAIR: Final = 4  # pictures of each


@dataclass(frozen=True)
class SetScores:
    """Raw scores of one kind: of the test images of known classes, and of each other set by name."""

    known: Scores
    unknown: Mapping[str, Scores]


@dataclass(frozen=True)
class WrongPicture:
    """An image that was taken for another class: what it is, what was said, and a small JPEG of it."""

    image: str
    truth: str
    predicted: str
    confidence: float
    jpeg: bytes | None


class Answered(Protocol):
    """An image, what it shows and what was said."""

    @property
    def truth(self) -> str: ...

    @property
    def predicted(self) -> str: ...


Wrong = TypeVar("Wrong", bound=Answered)


@dataclass(frozen=True)
class OodRow:
    """One row of the card's `ood`; the last three are at the verdict, None where it was another score's."""

    dataset: str
    score: str
    auroc: float
    aupr_in: float
    aupr_out: float
    fpr95: float
    precision: float | None
    recall: float | None
    f1: float | None


def pictures_wanted(card: Mapping[str, Any], wrong: Iterable[Wrong]) -> Iterator[Wrong]:
    """Of wrong answers, the surest first, those that the page shows: a few of each common confusion."""
    common = {(truth, said) for truth, said, _, _ in ClassifierNumbers.of(card).pairs(PAIRS)}
    seen: Counter[tuple[str, str]] = Counter()
    for one in wrong:
        pair = one.truth, one.predicted
        seen[pair] += 1
        if pair in common and seen[pair] <= PER_PAIR:
            yield one


@dataclass(frozen=True)
class ClassifierNumbers:
    """A card's figures.

    Attributes
    ----------
    card : mapping
        As `anomalens classify evaluate --json` writes it.
    names : tuple of str
    confusion : int64 [c, c]
        Rows are the true classes.
    ood : tuple of OodRow
    """

    card: Mapping[str, Any]
    names: tuple[str, ...]
    confusion: NDArray[np.int64]
    ood: tuple[OodRow, ...]

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Self:
        """The numbers of a card.

        Raises
        ------
        InputError
            The card lacks what every page shows, or holds something else there.
        """
        try:
            names = tuple(str(one["name"]) for one in card["per_class"])
            confusion = np.array(card["confusion"], np.int64)
            float(card["accuracy"]), float(card["macro_f1"]), float(card["calibration_error"])
            rows = tuple(
                OodRow(
                    str(row["dataset"]),
                    str(row["score"]),
                    *(float(row[key]) for key in ("auroc", "aupr_in", "aupr_out", "fpr95")),
                    *(row.get(key) for key in ("precision", "recall", "f1")),
                )
                for row in card.get("ood", ())
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"The card lacks or spoils {error}; write it with  anomalens classify evaluate … --json FILE."
            ) from None
        if not names or confusion.shape != (len(names), len(names)) or confusion.sum() == 0:
            raise InputError(
                f"The card has {len(names)} classes and a confusion matrix of shape {confusion.shape}; write "
                "it with  anomalens classify evaluate … --json FILE."
            )
        return cls(card, names, confusion, rows)

    @property
    def n(self) -> int:
        """Test images of known classes."""
        return int(self.confusion.sum())

    @property
    def right(self) -> Rate:
        """How many of them were named rightly."""
        return clopper_pearson(int(np.trace(self.confusion)), self.n)

    @property
    def sets(self) -> tuple[str, ...]:
        """The other sets, in the card's order."""
        return tuple(dict.fromkeys(row.dataset for row in self.ood))

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores that were compared, in the card's order."""
        return tuple(dict.fromkeys(row.score for row in self.ood))

    @property
    def used(self) -> str | None:
        """The score whose verdicts are told."""
        name = self.card.get("score")
        return str(name) if name is not None else next(iter(self.scores), None)

    @property
    def false_alarms(self) -> Rate | None:
        """How many images of known classes were called none of them."""
        told = self.card.get("known_flagged")
        return None if told is None else clopper_pearson(int(told["count"]), int(told["total"]))

    def row(self, dataset: str, score: str | None) -> OodRow | None:
        """One row, or None."""
        return next((row for row in self.ood if row.dataset == dataset and row.score == score), None)

    def mean_auroc(self, score: str) -> float:
        """Mean AUROC of a score over the sets."""
        return float(np.mean([row.auroc for row in self.ood if row.score == score]))

    def pairs(self, most: int) -> Sequence[tuple[str, str, int, float]]:
        """The commonest confusions: true class, what was said, how many, and as a share of the class."""
        wrong = self.confusion * (1 - np.eye(len(self.names), dtype=np.int64))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        found = []
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True):
            if wrong[i, j]:
                share = wrong[i, j] / self.confusion[i].sum()
                found.append((self.names[i], self.names[j], int(wrong[i, j]), float(share)))
        return found

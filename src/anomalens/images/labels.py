"""What is known of an image: what it shows, and whether that is normal.

Two things, because different people decide them. A class is what a folder or a column calls the image: a
product, a digit, a kind of defect. A verdict says whether it is normal, which for classes is a matter of the
task: of ten digits any may be the normal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from anomalens.images.folder_names import GOOD_NAMES

Verdict = Literal["normal", "anomalous"]
NORMAL: Final[Verdict] = "normal"
ANOMALOUS: Final[Verdict] = "anomalous"

GOOD: Final = "good"  # what tables call a normal image
DEFECT: Final = "defect"  # and an anomalous one of no known kind

_FLAGS: Final[dict[str, Verdict]] = {
    "0": NORMAL, "0.0": NORMAL, "false": NORMAL, "1": ANOMALOUS, "1.0": ANOMALOUS, "true": ANOMALOUS,
}  # fmt: skip
_DEFECT_WORDS: Final = frozenset({"anomalous", "anomaly", "defect", "abnormal"})

Known = tuple[str | None, Verdict | None]
"""The class and the verdict of an image."""


def read_labels(texts: Sequence[str | None]) -> list[Known]:
    """What the labels of a set say, as a column of a manifest holds them.

    - 0 and 1, or true and false, and nothing else: verdicts.
    - Words among which some say normal or defect ("good", "ok", "defect"): every other word names a kind of
      anomaly.
    - Other words, such as the digits 0 to 9: classes, of which nobody said what is normal.

    An empty label says nothing.
    """
    words = [(text or "").strip() for text in texts]
    given = {word.lower() for word in words if word}
    if given <= _FLAGS.keys():
        return [(None, _FLAGS.get(word.lower())) for word in words]
    judged = any(_says_normal(word) or word in _DEFECT_WORDS for word in given)
    return [of_kind(word) if judged and word else (word or None, None) for word in words]


def of_kind(word: str) -> Known:
    """The class and the verdict that a kind stands for: "good", or the name of what is wrong."""
    if _says_normal(word):
        return None, NORMAL
    return (None if word.lower() in _DEFECT_WORDS else word), ANOMALOUS


def judged(anomalous: object) -> Verdict:
    """The verdict on what is anomalous, or not."""
    return ANOMALOUS if anomalous else NORMAL


def _says_normal(word: str) -> bool:
    return word.lower().replace("-", "_").replace(" ", "_") in GOOD_NAMES

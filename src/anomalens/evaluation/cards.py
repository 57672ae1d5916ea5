"""Result cards: one evaluated (task, detector, seed), as one JSON object with stable keys.

Figures that do not apply are null; a failed evaluation is a card with an `error`. A killed run leaves whole
cards only.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from zipfile import is_zipfile

from anomalens.errors import InputError
from anomalens.places import write_text

MAX_CARD_BYTES: Final = 512 * 10**6


@dataclass(frozen=True)
class ImageScore:
    """One test image: its id, label ("good" or the kind of anomaly), raw score and p-value.

    `score` is None, and `error` says why, where the image could not be read.
    """

    image: str
    label: str
    score: float | None
    p_value: float | None
    anomalous: bool | None = None
    error: str | None = None


@dataclass(frozen=True)
class ResultCard:
    """What one evaluation found; rates and AUROC-like figures are fractions, not per cent.

    Attributes
    ----------
    dataset, protocol, category, normal_class, shots, against : what was evaluated
    detector, seed : with what
    n_train, n_test : readable images
    image_auroc … detection_rate : figures on raw scores; accuracy … f1, confusion and the two rates at the
        verdict that the calibrated threshold gives
    fit_seconds, ms_per_image, peak_mb : cost; milliseconds include decoding; the peak is of the resident
        memory of the whole process, interpreter and libraries included, while it fits and checks, in 10⁶
        bytes (see `memory`)
    ci : figure → [low, high], 95 % intervals, under the figures' own names; older cards lack some
    settings : what was asked for, and `fitted_size`, `parameters`, `runtime_used`. Reports draw what is
        there of `curves`, name → values or {"x": values, "y": values}, and of `densities`,
        name → {"normal": scores, "anomalous": scores}
    audit : where it was asked for, how uniform the p-values of normal test images are
    data_sha256 : hash of all training and test images
    command : the command that reproduces the card
    scores : one `ImageScore` per test image
    """

    dataset: str
    protocol: str
    detector: str
    seed: int
    category: str | None = None
    normal_class: str | None = None
    shots: int | None = None
    against: str | None = None
    n_train: int | None = None
    n_test: int | None = None
    error: str | None = None
    image_auroc: float | None = None
    image_ap: float | None = None
    image_f1_max: float | None = None
    pixel_auroc: float | None = None
    pixel_ap: float | None = None
    pixel_f1_max: float | None = None
    aupro: float | None = None
    aupimo: float | None = None
    fpr95: float | None = None
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    confusion: Mapping[str, int] | None = None
    false_alarm_rate: float | None = None
    detection_rate: float | None = None
    threshold: float | None = None
    fit_seconds: float | None = None
    ms_per_image: float | None = None
    peak_mb: float | None = None
    ci: Mapping[str, Sequence[float]] = field(default_factory=dict)
    data_sha256: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    command: str | None = None
    scores: Sequence[ImageScore] = ()

    @property
    def title(self) -> str:
        """Dataset, category and normal class in one text."""
        parts = [self.dataset, self.category, self.normal_class]
        text = "/".join(part for part in parts if part)
        if self.against:
            text += f" against {Path(self.against).name}"  # a path says where it was, not what it is
        return text if self.shots is None else f"{text} ({self.shots} shots)"

    def to_json(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite become null."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: object) -> ResultCard:
        """Read a card back.

        Raises
        ------
        InputError
            It is no card, or lacks what every card has.
        """
        if not isinstance(data, dict) or not {"dataset", "protocol", "detector", "seed"} <= set(data):
            raise InputError("this is no result card: it names no dataset, protocol, detector and seed")
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            values["scores"] = tuple(ImageScore(**score) for score in values.get("scores") or ())
        except TypeError as error:
            raise InputError(f"the scores of this card cannot be read ({error})") from None
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def write_cards(path: Path, cards: Iterable[ResultCard]) -> None:
    """Write a list of cards as one JSON file, whole or not at all."""
    # ASCII: names of files that are no UTF-8 hold lone surrogates, which have no other encoding
    text = json.dumps([card.to_json() for card in cards], allow_nan=False, indent=1)
    write_text(path, text + "\n", what="Result cards")


def read_cards(paths: Iterable[Path]) -> list[ResultCard]:
    """Read cards from JSON files (a card or a list of cards each) and folders of them.

    Raises
    ------
    InputError
        A file is missing, half-written or holds something else; the sentence names it.
    """
    cards: list[ResultCard] = []
    for path in paths:
        files = sorted(path.glob("**/*.json")) if path.is_dir() else [path]
        if not files:
            raise InputError(
                f"The folder {path} holds no result card; run  anomalens evaluate … --json FILE."
            )
        for file in files:
            cards += _read_file(file)
    return cards


def _read_file(path: Path) -> list[ResultCard]:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise InputError(f"{path} is larger than {MAX_CARD_BYTES} bytes; it is no result card.")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        if is_zipfile(path):
            raise InputError(
                f"{path} is a model or an archive, no result card; test a model with  anomalens evaluate "
                f"DATASET --model {shlex.quote(str(path))} --json FILE, and give that file."
            ) from None
        raise InputError(
            f"{path} is no whole JSON file; give files that  anomalens evaluate --json  wrote."
        ) from None
    try:
        return [ResultCard.from_json(item) for item in (data if isinstance(data, list) else [data])]
    except InputError as error:
        raise InputError(f"{path}: {error}; give files that  anomalens evaluate --json  wrote.") from None

"""What a card's section tells, as plain texts in rows: the page and its Markdown twin show the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from anomalens.reports.evaluation_numbers import CardNumbers
from anomalens.reports.evaluation_texts import (
    between,
    counted,
    figure,
    listed,
    per_cent,
    rate_text,
    seen,
    setting_text,
)

KINDS_SHOWN: Final = 40
_DRAWN: Final = (
    "curves", "densities", "part_thresholds", "fitted_size", "runtime_used", "parameters", "swept",
    "detector",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A figure with its interval and what it means."""

    name: str
    value: str
    interval: str
    meaning: str


_FIGURES: Final = (
    ("image_auroc", "image AUROC", "chance that an anomaly scores above a normal image; 0.5 is guessing"),
    ("image_ap", "image AP", "average precision; compare with the share of anomalies in the test"),
    ("image_f1_max", "image F1-max", "best F1 of any threshold, chosen with the labels in sight"),
    ("fpr95", "FPR at 95 % TPR", "false-alarm rate of a threshold that finds 95 % of the anomalies"),
)
_VERDICT: Final = (
    ("accuracy", "accuracy", "share of right verdicts; moves with the mix of the test"),
    ("precision", "precision", "share of flagged images that are anomalous"),
    ("recall", "recall", "share of anomalies that are flagged"),
    ("f1", "F1", "harmonic mean of precision and recall"),
)
_PIXELS: Final = (
    ("pixel_auroc", "pixel AUROC", "as image AUROC, over pixels; high where most pixels are normal"),
    ("pixel_ap", "pixel AP", "average precision over pixels"),
    ("pixel_f1_max", "pixel F1-max", "best F1 over pixels, threshold chosen with the masks in sight"),
    (
        "aupro",
        "AUPRO",
        "overlap with each defect, small ones as much as large ones, at up to 30 % false pixels",
    ),
    ("aupimo", "AUPIMO", "overlap with each defect at next to no false pixels in normal images"),
)


def figure_rows(numbers: CardNumbers) -> list[Row]:
    """Image figures on raw scores; those that are not defined are left out."""
    return _rows(numbers, _FIGURES)


def pixel_rows(numbers: CardNumbers) -> list[Row]:
    """Pixel figures; none for a card without masks or maps."""
    return _rows(numbers, _PIXELS)


def verdict_rows(numbers: CardNumbers) -> list[Row]:
    """Figures at the calibrated threshold."""
    asked = numbers.asked_rate
    wanted = "" if asked is None else f"; asked: {per_cent(asked)}"
    rows = []
    for rate, name, meaning in (
        (numbers.false_alarm_rate, "false-alarm rate", f"share of normal images that are flagged{wanted}"),
        (numbers.detection_rate, "detection rate", "share of anomalies that are flagged"),
    ):
        if rate.value is not None:
            limits = f"{100 * rate.low:.3g} to {100 * rate.high:.3g} %"
            rows.append(Row(name, f"{per_cent(rate.value)} ({rate.count} of {rate.total})", limits, meaning))
    return rows + _rows(numbers, _VERDICT)


def _rows(numbers: CardNumbers, names: tuple[tuple[str, str, str], ...]) -> list[Row]:
    card = numbers.card
    return [
        Row(text, figure(value), between(card.ci.get(name)), meaning)
        for name, text, meaning in names
        if (value := getattr(card, name)) is not None
    ]


def kind_rows(numbers: CardNumbers) -> list[list[str]]:
    """Heading and one row a kind: how many, found, AUROC against the normal images, median score."""
    rows = [["kind", "images", "found at the threshold (95 %)", "AUROC against normal", "median score"]]
    for kind in numbers.kinds[:KINDS_SHOWN]:
        found = kind.found
        rows.append([
            seen(kind.name),
            str(found.total),
            f"{found.count} ({per_cent(found.value)}; {100 * found.low:.0f} to {100 * found.high:.0f} %)",
            figure(kind.auroc),
            f"{kind.median:.4g}",
        ])  # fmt: skip
    return rows


def kinds_left_out(numbers: CardNumbers) -> str:
    """A sentence where there are more kinds than are shown."""
    more = len(numbers.kinds) - KINDS_SHOWN
    return f"{more} more kinds, found more often, are in report.json." if more > 0 else ""


def data_facts(numbers: CardNumbers) -> list[tuple[str, str]]:
    """Data and split."""
    card = numbers.card
    tested = f"{counted(len(numbers.normal), 'normal image')}, {counted(len(numbers.anomalous), 'anomaly')}"
    if numbers.kinds:
        told = [
            f"{seen(k.name)} {k.found.total}" for k in sorted(numbers.kinds, key=lambda k: -k.found.total)
        ]
        tested += f" ({listed(told, 12)})"
    facts = [
        ("Data", seen(card.title)),
        ("Protocol", f"{seen(card.protocol) or 'not named'}, seed {card.seed}"),
        ("Learnt from", "not named" if card.n_train is None else counted(card.n_train, "normal image")),
        ("Tested on", tested),
    ]
    if numbers.unanswered:
        told = [f"{seen(s.image)} ({seen(s.error or 'its score is no number')})" for s in numbers.unanswered]
        facts.append(("Without an answer", f"{len(numbers.unanswered)}: {listed(told, 10)}"))
    if card.data_sha256:
        facts.append(("Data hash", f"sha256 {seen(card.data_sha256)}"))
    return facts


def method_facts(numbers: CardNumbers) -> list[tuple[str, str]]:
    """Detector, preprocessing and settings."""
    settings = numbers.card.settings
    facts = [("Detector", seen(numbers.card.detector))]
    size = settings.get("fitted_size")
    if isinstance(size, list):
        facts.append(("Image size", " × ".join(map(setting_text, size)) + " px"))
    runtime = settings.get("runtime_used")
    if isinstance(runtime, dict):
        facts.append(("Runtime", ", ".join(f"{k} {setting_text(v)}" for k, v in runtime.items())))
    for key, head in (("parameters", "Parameters"), ("swept", "Swept")):
        given = settings.get(key)
        if isinstance(given, dict) and given:
            facts.append((head, ", ".join(f"{k} {setting_text(v) or 'default'}" for k, v in given.items())))
    others = [f"{k} {setting_text(v)}" for k, v in settings.items() if k not in _DRAWN and v is not None]
    if others:
        facts.append(("Settings", ", ".join(others)))
    if numbers.card.versions:
        facts.append(("Versions", ", ".join(f"{k} {v}" for k, v in numbers.card.versions.items())))
    return [(head, seen(text)) for head, text in facts]


def calibration_facts(numbers: CardNumbers) -> list[tuple[str, str]]:
    """Where the threshold comes from, and what it promised and kept."""
    card, told = numbers.card, numbers.card.calibration or {}
    facts = []
    if card.threshold is not None:
        facts.append(
            ("Threshold", f"{card.threshold:.6g}, by {seen(str(told.get('policy', 'a policy not named')))}")
        )
    if "n" in told:
        groups = told.get("n_groups")
        grouped = "" if groups in (None, told["n"]) else f" in {groups} groups"
        facts.append(("Rests on", seen(f"{told['n']} normal images{grouped}, {told.get('method', '')}")))
    rate = told.get("rate")
    if isinstance(rate, int | float):
        facts.append(("Expected", f"{per_cent(rate)} of normal images flagged"))
    facts.append(("Realised", rate_text(numbers.false_alarm_rate)))
    if told.get("note"):
        facts.append(("Note", seen(str(told["note"]))))
    return facts


def cost_facts(numbers: CardNumbers) -> list[tuple[str, str]]:
    """Time and memory; empty where a card has none."""
    card = numbers.card
    facts = []
    if card.fit_seconds is not None:
        facts.append(("Fitting", f"{card.fit_seconds:.3g} s, calibration included"))
    if card.ms_per_image is not None:
        facts.append(("Checking", f"{card.ms_per_image:.3g} ms an image, decoding included"))
    if card.peak_mb is not None:
        facts.append(("Memory", f"{card.peak_mb:.0f} MB at most, of the whole process"))
    return facts


def drift_sentence(numbers: CardNumbers) -> str:
    """How normal test images compare with those of the calibration."""
    drift = numbers.drift
    if drift is None:
        return "Too few images to compare the normal test images with those of the calibration."
    told = (
        f"a normal test image scores above a calibration image in {per_cent(drift.higher)} of pairs, "
        f"p = {drift.p:.2g}"
    )
    if drift.visible:
        return (
            f"Normal test images score visibly higher ({told}): the false-alarm rate will be higher than "
            "asked. They may come from another session, light or camera."
        )
    return f"Normal test images do not score visibly higher ({told}; alike would be 50 %)."

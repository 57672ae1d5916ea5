"""What a card's section tells, as tables and facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from anomalens.evaluation.names import setting_text
from anomalens.reports.evaluation.numbers import CardNumbers
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.texts import counted, listed, per_cent, rate_text

KINDS_SHOWN: Final = 40
_TOLD_ELSEWHERE: Final = (
    "curves", "densities", "part_thresholds", "fitted_size", "runtime_used", "parameters", "swept",
    "detector",
)  # fmt: skip

Row = tuple[doc.Words, ...]

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


def figure_name(key: str) -> str:
    """What a figure of the cards is called."""
    named = {name: text for name, text, _ in (*_FIGURES, *_VERDICT, *_PIXELS)}
    return named.get(key, key.replace("_", " "))


def figures_table(numbers: CardNumbers) -> Iterator[doc.Block]:
    """Figures on raw scores, at the threshold and of pixels, with intervals; what is missing is said."""
    ranking, pixels = _rows(numbers, _FIGURES), _rows(numbers, _PIXELS)
    rows: list[Row] = []
    for head, members in (
        ("On raw scores", ranking), ("At the threshold", _verdict_rows(numbers)), ("Pixels", pixels)
    ):  # fmt: skip
        rows += [((doc.Mark(head),),), *members] if members else []
    yield doc.Table(("figure", "value", "95 % interval", "what it says"), tuple(rows), style="figures")
    if not ranking:
        yield doc.Paragraph(
            "Ranking figures need normal and anomalous test images; here one of them is missing.", "soft"
        )
    if not pixels:
        yield doc.Paragraph(
            "No pixel figures: they need masks of the defects and a detector that makes maps.", "soft"
        )


def _verdict_rows(numbers: CardNumbers) -> list[Row]:
    asked = numbers.asked_rate
    wanted = "" if asked is None else f"; {numbers.asked}: {per_cent(asked)}"
    rows: list[Row] = []
    for rate, name, meaning in (
        (numbers.false_alarm_rate, "false-alarm rate", f"share of normal images that are flagged{wanted}"),
        (numbers.detection_rate, "detection rate", "share of anomalies that are flagged"),
    ):
        if rate.value is not None:
            value = doc.Mark(f"{per_cent(rate.value)} ({rate.count} of {rate.total})")
            rows.append((name, (value,), f"{100 * rate.low:.3g} to {100 * rate.high:.3g} %", meaning))
    return rows + _rows(numbers, _VERDICT)


def _rows(numbers: CardNumbers, names: tuple[tuple[str, str, str], ...]) -> list[Row]:
    rows: list[Row] = []
    for name, text, meaning in names:
        value, limits = getattr(numbers.card, name), numbers.card.ci.get(name)
        if value is not None:
            interval = "" if limits is None else f"{limits[0]:.3f} to {limits[1]:.3f}"
            rows.append((text, (doc.Mark(f"{value:.4f}"),), interval, meaning))
    return rows


def confusion_table(numbers: CardNumbers) -> Iterator[doc.Block]:
    """Verdicts by what the images are."""
    if (counts := numbers.card.confusion) is not None:

        def told(key: str, word: str) -> doc.Words:
            return doc.Mark(str(counts[key])), doc.Mark(word, "under")

        rows = (
            ("anomalous", told("tp", "found"), told("fn", "missed")),
            ("normal", told("fp", "false alarms"), told("tn", "left alone")),
        )
        table = doc.Table(("", "flagged", "not flagged"), rows, "confusion")
        yield doc.Box((doc.Paragraph("Verdicts at the threshold", "soft"), table))


def kinds_table(numbers: CardNumbers) -> Iterator[doc.Block]:
    """For each kind of anomaly: how many, found, AUROC against the normal images, median score."""
    rows: list[Row] = []
    for kind in numbers.kinds[:KINDS_SHOWN]:
        rate = kind.found
        limits = f"({per_cent(rate.value)}; {100 * rate.low:.0f} to {100 * rate.high:.0f} %)"
        auroc = "–" if kind.auroc is None else f"{kind.auroc:.4f}"
        found = (f"{rate.count} of {rate.total}", doc.Mark(limits, "under"))
        rows.append((kind.name, str(rate.total), found, auroc, f"{kind.median:.4g}"))
    head = ("kind", "images", "found at the threshold (95 %)", "AUROC against normal", "median score")
    yield doc.Table(head, tuple(rows))
    if (more := len(numbers.kinds) - KINDS_SHOWN) > 0:
        yield doc.Paragraph(f"{more} more kinds, found more often, are in report.json.", "soft")


def all_facts(numbers: CardNumbers) -> doc.Facts:
    """Data and split, settings, time and memory."""
    return doc.Facts((*_data(numbers), *_settings(numbers), *_costs(numbers)))


def _data(numbers: CardNumbers) -> Iterator[tuple[str, str]]:
    card = numbers.card
    tested = f"{counted(len(numbers.normal), 'normal image')}, {counted(len(numbers.anomalous), 'anomaly')}"
    if numbers.kinds:
        told = [f"{k.name} {k.found.total}" for k in sorted(numbers.kinds, key=lambda k: -k.found.total)]
        tested += f" ({listed(told, 12)})"
    yield "Data", card.title
    yield "Protocol", f"{card.protocol or 'not named'}, seed {card.seed}"
    yield "Learnt from", "not named" if card.n_train is None else counted(card.n_train, "normal image")
    yield "Tested on", tested
    if numbers.unanswered:
        told = [f"{s.image} ({s.error or 'its score is no number'})" for s in numbers.unanswered]
        yield "Without an answer", f"{len(numbers.unanswered)}: {listed(told, 10)}"
    if card.data_sha256:
        yield "Data hash", f"sha256 {card.data_sha256}"


def _settings(numbers: CardNumbers) -> Iterator[tuple[str, str]]:
    settings = numbers.card.settings
    yield "Detector", numbers.card.detector
    size = settings.get("fitted_size")
    if isinstance(size, list):
        yield "Image size", " × ".join(map(setting_text, size)) + " px"
    runtime = settings.get("runtime_used")
    if isinstance(runtime, dict):
        yield "Runtime", ", ".join(f"{k} {setting_text(v)}" for k, v in runtime.items())
    for key, head in (("parameters", "Parameters"), ("swept", "Swept")):
        given = settings.get(key)
        if isinstance(given, dict) and given:
            yield head, ", ".join(f"{k} {setting_text(v) or 'default'}" for k, v in given.items())
    others = [
        f"{k} {setting_text(v)}" for k, v in settings.items() if k not in _TOLD_ELSEWHERE and v is not None
    ]
    if others:
        yield "Settings", ", ".join(others)
    if numbers.card.versions:
        yield "Versions", ", ".join(f"{k} {v}" for k, v in numbers.card.versions.items())


def _costs(numbers: CardNumbers) -> Iterator[tuple[str, str]]:
    card = numbers.card
    if card.fit_seconds is not None:
        yield "Fitting", f"{card.fit_seconds:.3g} s, calibration included"
    if card.ms_per_image is not None:
        yield "Checking", f"{card.ms_per_image:.3g} ms an image, decoding included"
    if card.peak_mb is not None:
        yield "Memory", f"{card.peak_mb:.0f} MB at most, of the whole process"


def calibration_facts(numbers: CardNumbers) -> doc.Facts:
    """Where the threshold comes from, and what it promised and kept."""
    card, told = numbers.card, numbers.card.calibration or {}
    facts = []
    if card.threshold is not None:
        facts.append(("Threshold", f"{card.threshold:.6g}, by {told.get('policy', 'a policy not named')}"))
    if "n" in told:
        groups = told.get("n_groups")
        grouped = "" if groups in (None, told["n"]) else f" in {groups} groups"
        facts.append(("Rests on", f"{told['n']} normal images{grouped}, {told.get('method', '')}"))
    rate = told.get("rate")
    if isinstance(rate, int | float):
        facts.append(("Expected", f"{per_cent(rate)} of normal images flagged"))
    facts.append(("Realised", rate_text(numbers.false_alarm_rate)))
    if told.get("note"):
        facts.append(("Note", str(told["note"])))
    return doc.Facts(tuple(facts))


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

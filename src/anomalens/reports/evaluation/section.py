"""One card's section: everything about one task, detector and seed."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Final

from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.images.labels import GOOD
from anomalens.reports.evaluation.album import Exhibit, chosen
from anomalens.reports.evaluation.audit import audit_blocks
from anomalens.reports.evaluation.charts import calibration_chart, live_chart
from anomalens.reports.evaluation.curves import ranking_curves, training_curves
from anomalens.reports.evaluation.method import method_of
from anomalens.reports.evaluation.numbers import CardNumbers, Group
from anomalens.reports.evaluation.remarks import GRADES, Remarks, headline, remarks_on
from anomalens.reports.evaluation.score_parts import score_parts
from anomalens.reports.evaluation.tables import (
    all_facts,
    calibration_facts,
    confusion_table,
    drift_sentence,
    figures_table,
    kinds_table,
)
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.texts import counted

_GROUPS: Final[dict[Group, tuple[str, str]]] = {
    "miss": ("Worst misses", "missed"),
    "false-alarm": ("Worst false alarms", "false alarm"),
    "found": ("No anomaly was missed; the ones found last", "found"),
    "quiet": ("No normal image was flagged; the ones that come nearest", "not flagged"),
}


def brief_section(card: ResultCard, name: str) -> doc.Block:
    """The heading and the headline, where the page has no room for more; of a failed card, why it failed."""
    if card.error is not None:
        failed = (_head(card, name, "weak", "failed"), doc.Paragraph(card.error, "note"), *_command(card))
        return doc.Box(failed, "result", "section")
    numbers = CardNumbers(card)
    return doc.Box(_summary(numbers, name, remarks_on(numbers)), "result", "section")


def section(
    card: ResultCard, name: str, exhibits: Sequence[Exhibit], *, bare: str, fold: bool | None
) -> doc.Block:
    """Everything about a card.

    Parameters
    ----------
    card : ResultCard
    name : str
        The detector, with what tells the card apart.
    exhibits : sequence of Exhibit
        Some of the pictures that belong to it, or none.
    bare : str
        What is said where there are no pictures at all.
    fold : bool or None
        Whether the section is open at first; None where it cannot be folded.
    """
    if card.error is not None:
        return brief_section(card, name)
    numbers = CardNumbers(card)
    remarks = remarks_on(numbers)
    summary = _summary(numbers, name, remarks)
    inside = (
        doc.Paragraph(remarks.why),
        _remarks(remarks),
        *_figures(numbers),
        *_exhibits(numbers, exhibits, bare),
        *_calibration(numbers),
        *audit_blocks(numbers),
        *score_parts(card.settings),
        *_training(card),
        doc.Heading(3, "Method"),
        *method_of(card.detector),
        doc.Heading(3, "Data, settings and cost"),
        all_facts(numbers),
        *(doc.Paragraph(note, "note") for note in dict.fromkeys(card.notes)),
        *_command(card),
    )
    blocks = (*summary, *inside) if fold is None else (doc.Fold(summary, inside, fold),)
    return doc.Box(blocks, "result", "section")


def _head(card: ResultCard, name: str, style: str, badge: str) -> doc.Heading:
    return doc.Heading(2, (f"{card.title} · {name} · seed {card.seed} ", doc.Mark(badge, "badge", style)))


def _summary(numbers: CardNumbers, name: str, remarks: Remarks) -> tuple[doc.Block, ...]:
    head = _head(numbers.card, name, remarks.grade, GRADES[remarks.grade])
    return head, doc.Paragraph(headline(numbers), "headline")


def _remarks(remarks: Remarks) -> doc.Block:
    parts = []
    for head, sentences, none in (
        ("Strengths", remarks.strengths, "None that these figures prove."),
        ("Limits", remarks.limits, "None that these figures show."),
        ("What to do", remarks.recommendations, "Nothing that follows from these figures."),
    ):
        items = tuple(map(doc.with_code, sentences)) or (none,)
        parts.append(doc.Box((doc.Heading(3, head), doc.Bullets(items))))
    return doc.Box(tuple(parts), "remarks")


def _figures(numbers: CardNumbers) -> Iterator[doc.Block]:
    if chart := list(live_chart(numbers)):
        yield doc.Heading(3, "Scores and threshold")
        yield from chart
    yield doc.Heading(3, "Figures")
    yield doc.Box((doc.Box(tuple(figures_table(numbers))), *confusion_table(numbers)), "beside")
    if curves := tuple(ranking_curves(numbers)):
        yield doc.Box(curves, "curves")
    if numbers.kinds:
        yield doc.Heading(3, "Kinds of anomaly")
        yield from kinds_table(numbers)


def _exhibits(numbers: CardNumbers, exhibits: Sequence[Exhibit], bare: str) -> Iterator[doc.Block]:
    wanted = chosen(numbers)
    shown = {exhibit.image: exhibit for exhibit in exhibits}
    wrong = ("miss", "false-alarm")
    for group, (head, badge) in _GROUPS.items():
        members = [score for g, score in wanted if g == group]
        if members:
            total = len(numbers.groups[group]) if group in wrong else 0
            yield doc.Heading(3, head + (f" ({len(members)} of {total})" if total > len(members) else ""))
            style = "flagged" if group in wrong else "unflagged"
            yield doc.Box(
                tuple(_entry(one, badge, style, shown.get(one.image)) for one in members), "entries"
            )
    if wanted and not exhibits:
        yield doc.Paragraph(bare, "soft")
    elif len(exhibits) < len(wanted):
        left_out = counted(len(wanted) - len(exhibits), "image")
        yield doc.Paragraph(f"The pictures of {left_out} are left out, to keep this page small.", "soft")


def _entry(score: ImageScore, badge: str, style: str, exhibit: Exhibit | None) -> doc.Entry:
    figures: list[doc.Words] = [("score ", doc.Mark(f"{score.score or 0:.4g}"))]
    if score.p_value is not None:
        figures.append(("p-value ", doc.Mark(f"{score.p_value:.2g}")))
    if score.label != GOOD:
        figures.append(("labelled ", doc.Mark(score.label)))
    photos = () if exhibit is None else _photos(exhibit)
    return doc.Entry(badge, score.image, style, photos, tuple(figures))


def _photos(exhibit: Exhibit) -> tuple[doc.Photo, ...]:
    told = "as it is; outlined: the true defect" if exhibit.outlined else "as it is"
    shots = [(exhibit.plain, f"The picture {exhibit.image}", told)]
    if exhibit.overlay:
        shots.append((exhibit.overlay, f"Heat map over {exhibit.image}", "heat map and regions"))
    return tuple(
        doc.Photo(f"data:image/jpeg;base64,{base64.b64encode(data).decode()}", alt, caption, exhibit.size)
        for data, alt, caption in shots
    )


def _calibration(numbers: CardNumbers) -> Iterator[doc.Block]:
    yield doc.Heading(3, "Calibration")
    yield calibration_facts(numbers)
    if len(numbers.calibration):
        yield from calibration_chart(numbers)
        yield doc.Paragraph(drift_sentence(numbers))


def _training(card: ResultCard) -> Iterator[doc.Block]:
    if curves := tuple(training_curves(card.settings)):
        yield doc.Heading(3, "Training")
        yield doc.Box(curves, "curves")


def _command(card: ResultCard) -> Iterator[doc.Block]:
    if card.command:
        yield doc.Heading(3, "Reproduce")
        yield doc.Command(card.command)
    else:
        yield doc.Paragraph("The card names no command that reproduces it.", "soft")

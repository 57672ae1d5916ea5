"""One card's section of the page: everything about one task, detector and seed."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape

from anomalens.evaluation.cards import ResultCard
from anomalens.images.layout import GOOD
from anomalens.reports.cards import visible
from anomalens.reports.evaluation_charts import calibration_chart, live_chart
from anomalens.reports.evaluation_curves import ranking_curves, training_curves
from anomalens.reports.evaluation_densities import density_charts, density_rows
from anomalens.reports.evaluation_method import method_of
from anomalens.reports.evaluation_numbers import CardNumbers
from anomalens.reports.evaluation_pictures import Exhibit, chosen
from anomalens.reports.evaluation_remarks import GRADES, Remarks, headline, remarks_on
from anomalens.reports.evaluation_tables import (
    Row,
    calibration_facts,
    cost_facts,
    data_facts,
    drift_sentence,
    figure_rows,
    kind_rows,
    kinds_left_out,
    method_facts,
    pixel_rows,
    verdict_rows,
)
from anomalens.reports.evaluation_texts import counted

_HEADS = {
    "miss": ("Worst misses", "missed"),
    "false-alarm": ("Worst false alarms", "false alarm"),
    "found": ("No anomaly was missed; the ones found last", "found"),
    "quiet": ("No normal image was flagged; the ones that come nearest", "not flagged"),
}


def failed_section(card: ResultCard, name: str, anchor: str) -> str:
    """The section of a card that holds an error."""
    return (
        f'<section class="result" id="{anchor}"><h2>{visible(card.title)} · {visible(name)} · seed '
        f'{card.seed} <span class="grade weak">failed</span></h2>'
        f'<p class="note">{visible(card.error or "")}</p>{_command(card)}</section>'
    )


def section(
    numbers: CardNumbers, name: str, anchor: str, exhibits: Sequence[Exhibit], *, fold: str, why_bare: str
) -> str:
    """The section of a card that holds figures.

    Parameters
    ----------
    fold : {"", "open", "closed"}
        Whether the section can be folded, and how it starts.
    why_bare : str
        What is said where there are no pictures at all.
    """
    card, remarks = numbers.card, remarks_on(numbers)
    head = (
        f"{visible(card.title)} · {visible(name)} · seed {card.seed} "
        f'<span class="grade {remarks.grade}">{GRADES[remarks.grade]}</span>'
    )
    inside = "".join(_parts(numbers, remarks, exhibits, why_bare))
    lead = f'<p class="lead headline">{visible(headline(numbers))}</p>'
    if not fold:
        return f'<section class="result" id="{anchor}"><h2>{head}</h2>{lead}{inside}</section>'
    return (
        f'<section class="result" id="{anchor}"><details{" open" * (fold == "open")}><summary><h2>{head}</h2>'
        f"{lead}</summary>{inside}</details></section>"
    )


def short_section(numbers: CardNumbers, name: str, anchor: str) -> str:
    """A few lines, where the page has no room for more."""
    card, remarks = numbers.card, remarks_on(numbers)
    return (
        f'<section class="result short" id="{anchor}"><h2>{visible(card.title)} · {visible(name)} · seed '
        f'{card.seed} <span class="grade {remarks.grade}">{GRADES[remarks.grade]}</span></h2>'
        f'<p class="lead">{visible(headline(numbers))}</p></section>'
    )


def _parts(
    numbers: CardNumbers, remarks: Remarks, exhibits: Sequence[Exhibit], why_bare: str
) -> Iterable[str]:
    card = numbers.card
    yield f"<p>{visible(remarks.why)}</p>"
    yield '<div class="remarks">'
    for head, sentences, none in (
        ("Strengths", remarks.strengths, "None that these figures prove."),
        ("Limits", remarks.limits, "None that these figures show."),
        ("What to do", remarks.recommendations, "Nothing that follows from these figures."),
    ):
        items = "".join(f"<li>{_with_code(text)}</li>" for text in sentences) or f"<li>{none}</li>"
        yield f"<div><h3>{head}</h3><ul>{items}</ul></div>"
    yield "</div>"
    if chart := live_chart(numbers):
        yield f'<h3>Scores and threshold</h3><figure class="scores">{chart}</figure>'
    yield '<h3>Figures</h3><div class="beside"><div>'
    rows = figure_rows(numbers)
    if not rows:
        yield (
            '<p class="soft">Ranking figures need normal and anomalous test images; here one of them is '
            "missing.</p>"
        )
    yield _figures([("On raw scores", rows), ("At the threshold", verdict_rows(numbers)),
                    ("Pixels", pixel_rows(numbers))])  # fmt: skip
    if not pixel_rows(numbers):
        yield (
            '<p class="soft">No pixel figures: they need masks of the defects and a detector that makes '
            "maps.</p>"
        )
    yield f"</div><div>{_confusion(card)}</div></div>"
    if curves := ranking_curves(numbers):
        yield f'<div class="curves">{curves}</div>'
    if numbers.kinds:
        yield f"<h3>Kinds of anomaly</h3>{_table(kind_rows(numbers))}"
        if more := kinds_left_out(numbers):
            yield f'<p class="soft">{more}</p>'
    yield from _exhibits(numbers, exhibits, why_bare)
    yield f"<h3>Calibration</h3>{_facts(calibration_facts(numbers))}"
    if len(numbers.calibration):
        if chart := calibration_chart(numbers):
            yield f'<figure class="scores">{chart}</figure>'
        yield f"<p>{visible(drift_sentence(numbers))}</p>"
    if rows_of_parts := density_rows(card.settings):
        charts = density_charts(card.settings)
        yield f'<h3>Parts of the score</h3>{_table(rows_of_parts)}<div class="scores">{charts}</div>'
    if curves := training_curves(card.settings):
        yield f'<h3>Training</h3><div class="curves">{curves}</div>'
    method = method_of(card.detector)
    yield f"<h3>Method</h3><p>{visible(method.title)}</p>"
    if method.does:
        yield f"<p>{visible(method.does)}</p>"
    if method.fails:
        yield f"<p><b>When it fails.</b> {visible(method.fails)}</p>"
    facts = [*data_facts(numbers), *method_facts(numbers), *cost_facts(numbers)]
    yield f"<h3>Data, settings and cost</h3>{_facts(facts)}"
    for note in dict.fromkeys(card.notes):
        yield f'<p class="note">{visible(note)}</p>'
    yield _command(card)


def _with_code(sentence: str) -> str:
    """A remark as HTML; commands stand between backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", visible(sentence))


def _figures(blocks: Iterable[tuple[str, Sequence[Row]]]) -> str:
    parts = ['<table class="figures-table"><thead><tr><th>figure</th><th>value</th><th>95 % interval</th>'
             "<th>what it says</th></tr></thead>"]  # fmt: skip
    for head, rows in blocks:
        if not rows:
            continue
        parts.append(f'<tbody><tr class="block"><th colspan="4" scope="rowgroup">{head}</th></tr>')
        parts += [
            f"<tr><td>{escape(row.name)}</td><td><b>{escape(row.value)}</b></td>"
            f'<td>{escape(row.interval)}</td><td class="soft">{escape(row.meaning)}</td></tr>'
            for row in rows
        ]
        parts.append("</tbody>")
    return "".join(parts) + "</table>"


def _confusion(card: ResultCard) -> str:
    if card.confusion is None:
        return ""
    counts = card.confusion
    return (
        '<table class="confusion"><caption>Verdicts at the threshold</caption><thead><tr><td></td>'
        "<th>flagged</th><th>not flagged</th></tr></thead><tbody>"
        f'<tr><th>anomalous</th><td class="right">{counts["tp"]}<span>found</span></td>'
        f'<td class="bad">{counts["fn"]}<span>missed</span></td></tr>'
        f'<tr><th>normal</th><td class="bad">{counts["fp"]}<span>false alarms</span></td>'
        f'<td class="right">{counts["tn"]}<span>left alone</span></td></tr></tbody></table>'
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(head)}</dt><dd>{escape(text)}</dd></div>" for head, text in facts)
        + "</dl>"
    )


def _exhibits(numbers: CardNumbers, exhibits: Sequence[Exhibit], why_bare: str) -> Iterable[str]:
    wanted = chosen(numbers)
    shown = {exhibit.score.image: exhibit for exhibit in exhibits}
    totals = {"miss": len(numbers.misses), "false-alarm": len(numbers.false_alarms)}
    for group, (head, badge) in _HEADS.items():
        members = [score for g, score in wanted if g == group]
        if not members:
            continue
        total = totals.get(group, 0)
        of = f" ({len(members)} of {total})" if total > len(members) else ""
        yield f'<h3>{head}{of}</h3><div class="cards">'
        for score in members:
            kind = "flagged" if group in ("miss", "false-alarm") else "unflagged"
            labelled = "" if score.label == GOOD else f"<span>labelled <b>{visible(score.label)}</b></span>"
            p = "" if score.p_value is None else f"<span>p-value <b>{score.p_value:.2g}</b></span>"
            yield (
                f'<article class="card {kind}"><h4><span class="badge">{badge}</span><span class="name">'
                f"{visible(score.image)}</span></h4>{_pair(shown.get(score.image))}"
                f'<p class="figures"><span>score <b>{score.score or 0:.4g}</b></span>'
                f"{p}{labelled}</p></article>"
            )
        yield "</div>"
    if wanted and not exhibits:
        yield f'<p class="soft">{why_bare}</p>'
    elif len(exhibits) < len(wanted):
        pairs = counted(len(wanted) - len(exhibits), "image")
        yield f'<p class="soft">The pictures of {pairs} are left out, to keep this page small.</p>'


def _pair(exhibit: Exhibit | None) -> str:
    if exhibit is None:
        return ""
    width, height = exhibit.size
    name = visible(exhibit.score.image)
    told = "as it is; outlined: the true defect" if exhibit.outlined else "as it is"
    shots = [(exhibit.plain, told, f"The picture {name}")]
    if exhibit.overlay:
        shots.append((exhibit.overlay, "heat map and regions", f"Heat map over {name}"))
    wide = " wide" if width > 1.6 * height else ""
    return f'<div class="pair{wide}">' + "".join(
        f'<figure><img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt="{alt}" '
        f'width="{width}" height="{height}"><figcaption>{caption}</figcaption></figure>'
        for data, caption, alt in shots
    ) + "</div>"  # fmt: skip


def _command(card: ResultCard) -> str:
    if not card.command:
        return '<p class="soft">The card names no command that reproduces it.</p>'
    return f'<h3>Reproduce</h3><pre class="command"><code>{visible(card.command)}</code></pre>'

"""A sweep as a table and curves: figures against the first swept value, lines for choices of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.sweep import FIGURES, sweep_rows
from anomalens.reports.evaluation_curves import LEFT, SIDE, TOP, framed
from anomalens.reports.evaluation_overview import html_table
from anomalens.reports.evaluation_texts import seen

_MOST_LINES: Final = 16
_COLOURS: Final = 6  # in evaluation_style.py
_DASHES: Final = ("", "7 4", "2 4", "8 3 2 3")
_ROWS: Final = 200
# Of the order of the scores alone: every policy has the same.
_RANKING: Final = ("image_auroc", "pixel_auroc", "aupro")

Lines = dict[str, list[tuple[str, float]]]  # what tells a line, and its points: swept value, figure
Looks = dict[str, str]  # what tells a line → its attributes


def swept_groups(cards: Sequence[ResultCard]) -> dict[str, list[ResultCard]]:
    """Cards of sweeps, by a heading that says what was swept."""
    groups: dict[str, list[ResultCard]] = {}
    for card in cards:
        if swept := swept_of(card.settings):
            head = f"Sweep over {' and '.join(swept)}: {card.title} · {card.detector}"
            members = groups.setdefault(seen(head), [])
            if not members or list(swept_of(members[0].settings)) == list(swept):
                members.append(card)  # a heading may read alike for other names: cards come from files
    return groups


def sweeps(cards: Sequence[ResultCard]) -> str:
    """Charts and a table for every task and detector that has swept cards; empty where there are none."""
    parts = []
    for head, members in swept_groups(cards).items():
        names = list(swept_of(members[0].settings))
        drawn = {figure: lines_of(figure, names, members) for figure in FIGURES}
        looks = _looks(names, members)
        charts = "".join(
            _chart(figure, names[0], lines, members, looks) for figure, lines in drawn.items() if lines
        )
        parts.append(f"<h2>{escape(head)}</h2>")
        if charts:
            parts.append(f'<div class="curves">{charts}</div>')
        table = list(sweep_rows(members))
        parts.append(html_table([[seen(cell).replace("_", " ") for cell in table[0]], *table[1 : _ROWS + 1]]))
        if len(table) > _ROWS + 1:
            parts.append(f'<p class="note">{len(table) - _ROWS - 1} more rows are in report.md.</p>')
    return "".join(parts)


def swept_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The swept values of a card, by name; empty for a card that no sweep made."""
    given = settings.get("swept")
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {}


def lines_of(figure: str, names: Sequence[str], cards: Sequence[ResultCard]) -> Lines:
    """The lines of one figure, in the order of the cards."""
    lines: Lines = {}
    for card in cards:
        swept, value = swept_of(card.settings), getattr(card, figure)
        if card.error is None and value is not None:
            points = lines.setdefault(_told(figure, names, swept), [])
            if swept[names[0]] not in dict(points):
                points.append((swept[names[0]], float(value)))
    return lines


def _told(figure: str, names: Sequence[str], swept: Mapping[str, str]) -> str:
    others = [name for name in names[1:] if not (name == "policy" and figure in _RANKING)]
    return ", ".join(f"{name} {swept[name]}" for name in others)


def _looks(names: Sequence[str], cards: Sequence[ResultCard]) -> Looks:
    """The first of the other swept names gives the colour, all further ones the dashes."""
    looks: Looks = {}
    for figure in (FIGURES[0], FIGURES[-1]):  # with and without policies
        colours: dict[str, int] = {}
        dashes: dict[str, int] = {}
        for card in cards:
            told = _told(figure, names, swept_of(card.settings))
            first, _, rest = told.partition(", ")
            colour = colours.setdefault(first, len(colours)) % _COLOURS
            dash = _DASHES[dashes.setdefault(rest, len(dashes)) % len(_DASHES)]
            looks[told] = f'class="line c{colour}" stroke-dasharray="{dash}"'
    return looks


def _chart(figure: str, swept: str, lines: Lines, cards: Sequence[ResultCard], looks: Looks) -> str:
    places = list(dict.fromkeys(swept_of(card.settings)[swept] for card in cards))
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    step = SIDE / max(len(places) - 1, 1)
    base = TOP + SIDE
    drawn, legend = [], []
    for told, points in list(lines.items())[:_MOST_LINES]:
        spots = [
            (LEFT + step * places.index(place), TOP + SIDE * (high - value) / (high - low))
            for place, value in points
        ]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        drawn.append(f'<path {looks[told]} d="{path}"/>')
        drawn += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in spots]
        if told:
            sample = f'<path {looks[told]} d="M0 5h28"/>'
            legend.append(f'<svg class="sample" viewBox="0 0 28 10">{sample}</svg> {escape(seen(told))}')
    if len(lines) > _MOST_LINES:
        legend.append(f"{len(lines) - _MOST_LINES} more lines are in report.json")
    # first, middle and last value have room
    shown = sorted({0, (len(places) - 1) // 2, len(places) - 1})
    anchors = {0: "start", len(places) - 1: "end"}
    texts = [
        f'<text x="{LEFT - 4}" y="{TOP + 9}" text-anchor="end">{high:.2g}</text>',
        f'<text x="{LEFT - 4}" y="{base}" text-anchor="end">{low:.2g}</text>',
        *(
            f'<text x="{LEFT + step * i:.1f}" y="{base + 14}" text-anchor="{anchors.get(i, "middle")}">'
            f"{escape(seen(places[i])[:16])}</text>"
            for i in shown
        ),
        f'<text x="{LEFT + SIDE / 2}" y="{base + 29}" text-anchor="middle">{escape(seen(swept))}</text>',
    ]
    spoken = f"{figure} over {swept}, from {min(values):.4g} to {max(values):.4g}"
    chart = framed(spoken, "".join([*texts, *drawn]))
    caption = "<br>".join([f"<b>{escape(figure.replace('_', ' '))}</b>", *legend])
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"

"""Curves of a sweep: each figure against the first swept value, one line for each choice of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.sweep import FIGURES
from anomalens.reports.evaluation_curves import LEFT, SIDE, TOP, framed
from anomalens.reports.evaluation_texts import seen

_MOST_LINES: Final = 8
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "10 5", "1 4", "4 6", "12 3 3 3")

Lines = dict[str, list[tuple[str, float]]]  # what tells a line, and its points: swept value, figure


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


def sweep_curves(cards: Sequence[ResultCard]) -> str:
    """One chart a figure for every task and detector that has swept cards; empty where there are none."""
    parts = []
    for head, members in swept_groups(cards).items():
        names = list(swept_of(members[0].settings))
        charts = "".join(_chart(figure, names, members) for figure in FIGURES)
        if charts:
            parts.append(f'<h3>{escape(head)}</h3><div class="curves">{charts}</div>')
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
            told = ", ".join(f"{name} {swept[name]}" for name in names[1:])
            lines.setdefault(told, []).append((swept[names[0]], float(value)))
    return lines


def _chart(figure: str, names: Sequence[str], cards: Sequence[ResultCard]) -> str:
    lines = lines_of(figure, names, cards)
    if not lines:
        return ""
    places = list(dict.fromkeys(swept_of(card.settings)[names[0]] for card in cards))
    values = [value for line in lines.values() for _, value in line]
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    step = SIDE / max(len(places) - 1, 1)
    base = TOP + SIDE
    drawn, legend = [], []
    for (told, points), dashes in zip(list(lines.items())[:_MOST_LINES], _DASHES, strict=False):
        spots = [
            (LEFT + step * places.index(place), TOP + SIDE * (high - value) / (high - low))
            for place, value in points
        ]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        drawn.append(f'<path class="line" stroke-dasharray="{dashes}" d="{path}"/>')
        drawn += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in spots]
        if told:
            sample = f'<path class="line" stroke-dasharray="{dashes}" d="M0 5h28"/>'
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
        f'<text x="{LEFT + SIDE / 2}" y="{base + 29}" text-anchor="middle">{escape(seen(names[0]))}</text>',
    ]
    spoken = f"{figure} over {names[0]}, from {min(values):.4g} to {max(values):.4g}"
    chart = framed(spoken, "".join([*texts, *drawn]))
    caption = "<br>".join([escape(figure.replace("_", " ")), *legend])
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"

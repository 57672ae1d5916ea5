"""A sweep as curves and a table: figures against the first swept value, lines for choices of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.sweep import FIGURES, sweep_rows, without_effect
from anomalens.reports.evaluation.tables import figure_name
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.line_chart import COLOURS, DASHES, WIDTH, Line, Scale, chart_height, line_chart

_MOST_LINES: Final = 16
_ROWS: Final = 200
# Of the order of the scores alone: every policy has the same.
_RANKING: Final = ("image_auroc", "pixel_auroc", "aupro")
_COLUMNS: Final = 3
_TITLE: Final = 24  # px above each chart of the file
# The file's own style: programs that show SVG know no variables, and few know a dark screen.
_FILE_STYLE: Final = (
    "text{font:11px sans-serif;fill:#333}.title{font-weight:bold}.frame{fill:#fff;stroke:#ccc}"
    ".grid{stroke:#ddd}.line{fill:none;stroke-width:2}.dot{fill:#333}.c0{stroke:#2f6690}.c1{stroke:#d55e00}"
    ".c2{stroke:#009e73}.c3{stroke:#b8528f}.c4{stroke:#b88700}.c5{stroke:#56b4e9}"
)


def swept_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The swept values of a card, by name; empty for a card that no sweep made."""
    given = settings.get("swept")
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {}


def sweeps(cards: Sequence[ResultCard]) -> Iterator[doc.Block]:
    """Charts and a table for every task and detector that has swept cards; nothing where there are none."""
    groups: dict[tuple[str, ...], list[ResultCard]] = {}
    for card in cards:
        if swept := swept_of(card.settings):
            groups.setdefault((card.title, card.detector, *swept), []).append(card)
    for (title, detector, *names), members in groups.items():
        yield doc.Heading(2, f"Sweep over {' and '.join(names)}: {title} · {detector}")
        if charts := tuple(_charts(members).values()):
            yield doc.Box(charts, "curves")
        choices = {tuple(swept_of(card.settings).values())[1:] for card in members}
        if len(choices) > _MOST_LINES:
            yield doc.Paragraph(f"Of {len(choices)} lines the first {_MOST_LINES} are drawn.", "soft")
        yield from (doc.Paragraph(text, "note") for text in without_effect(members))
        head, *rows = sweep_rows(members)
        yield doc.Table(tuple(map(figure_name, head)), tuple(tuple(row) for row in rows[:_ROWS]))
        if len(rows) > _ROWS:
            more = len(rows) - _ROWS
            yield doc.Paragraph(f"{more} more rows are left out; report.json has all cards.", "note")


def sweep_curves(cards: Sequence[ResultCard]) -> str:
    """The charts of one sweep as an SVG file."""
    charts = _charts(cards)
    tall = chart_height(max((chart.html.count("<title>") for chart in charts.values()), default=0))
    width, height = _COLUMNS * WIDTH, -(-len(charts) // _COLUMNS) * (_TITLE + tall)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{_FILE_STYLE}</style>'
        '<rect width="100%" height="100%" fill="#fff"/>'
    ]
    for i, (figure, chart) in enumerate(charts.items()):
        x, y = i % _COLUMNS * WIDTH, i // _COLUMNS * (_TITLE + tall) + _TITLE
        place = f'<svg x="{x}" y="{y}" width="{WIDTH}" height="{tall}" preserveAspectRatio="xMidYMin"'
        parts.append(
            f'<text class="title" x="{x + WIDTH / 2:g}" y="{y - 8}" text-anchor="middle">{figure}</text>'
            + chart.html.replace("<svg", place, 1)
        )
    return "".join([*parts, "</svg>\n"])


def _charts(cards: Sequence[ResultCard]) -> dict[str, doc.Drawing]:
    """A chart of each figure that some card has."""
    names = list(swept_of(cards[0].settings))
    places = list(dict.fromkeys(swept_of(card.settings)[names[0]] for card in cards))
    charts = {}
    for figure in FIGURES:
        if lines := _lines(figure, names, places, cards):
            values = np.concatenate([line.points[:, 1] for line in lines])
            charts[figure] = line_chart(
                lines[:_MOST_LINES],
                Scale.of_names(names[0], places),
                Scale.over("", values, pad=0.05, top=np.inf if figure == "ms_per_image" else 1.0),
                spoken=f"{figure} over {names[0]}, from {values.min():.4g} to {values.max():.4g}",
                caption=(doc.Mark(figure_name(figure)),),
            )
    return charts


def _lines(
    figure: str, names: Sequence[str], places: Sequence[str], cards: Sequence[ResultCard]
) -> list[Line]:
    """The lines of one figure: the first of the other swept names gives the colour, all further the dash."""
    others = [name for name in names[1:] if not (name == "policy" and figure in _RANKING)]
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for card in cards:
        swept, value = swept_of(card.settings), getattr(card, figure)
        points = found.setdefault(tuple(f"{name} {swept[name]}" for name in others), {})
        if card.error is None and value is not None:
            points.setdefault(swept[names[0]], float(value))
    colours = list(dict.fromkeys(told[:1] for told in found))
    dashes = list(dict.fromkeys(told[1:] for told in found))
    return [
        Line(
            np.array([(places.index(place), value) for place, value in points.items()], np.float64),
            ", ".join(told),
            colours.index(told[:1]) % COLOURS,
            DASHES[dashes.index(told[1:]) % len(DASHES)],
            dotted=True,
        )
        for told, points in found.items()
        if points
    ]

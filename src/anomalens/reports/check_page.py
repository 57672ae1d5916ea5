"""The HTML of a check: one page, no script, no outside resource, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from anomalens import __version__
from anomalens.calibration import Calibration
from anomalens.inspector.inspector import Inspector
from anomalens.reports.cards import Row, card, image_name, unreadable_card, visible
from anomalens.reports.colours import TABLE, ColourScale
from anomalens.reports.page_style import STYLE
from anomalens.reports.score_chart import score_chart

MAX_LISTED: Final = 5000

_METHODS: Final = {
    "out-of-fold": "each scored as if the model had not learnt from it",
    "held-out": "which the model has not learnt from",
    "augmented": "slightly changed copies of the images the model learnt from",
}
_POLICIES: Final = {
    "false-alarm-rate": "at most this share of normal images is to be flagged",
    "quantile": "this quantile of the normal scores",
    "max": "the largest normal score",
    "mean-sigma": "mean of the normal scores plus this many standard deviations",
    "pareto": "this share of normal images, extrapolated from the highest scores",
    "f1": "best F1 on labelled anomalies",
    "youden": "best balance on labelled anomalies",
}


def render_page(inspector: Inspector, rows: Sequence[Row], *, origin: str) -> str:
    """The page of one check.

    Parameters
    ----------
    inspector : Inspector
        The model that was asked.
    rows : sequence of Row
        In any order; the page sorts them.
    origin : str
        Where the images come from.
    """
    unreadable = [row for row in rows if row.finding.error is not None]
    flagged = _by_score(row for row in rows if row.finding.error is None and row.finding.anomalous)
    unflagged = _by_score(row for row in rows if row.finding.error is None and not row.finding.anomalous)
    carded = [row for row in unflagged if row.picture is not None]
    listed = [row for row in unflagged if row.picture is None]
    readable = len(flagged) + len(unflagged)
    title = f"{len(flagged) or 'None'} of {readable} image{'s' * (readable != 1)} flagged"
    return "\n".join([
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src 'self' file:; style-src 'unsafe-inline'\">",
        '<meta name="color-scheme" content="light dark">',
        f'<meta name="generator" content="Anomalens {escape(__version__)}">',
        f"<title>{title} · Anomalens</title>",
        f"<style>{STYLE}</style></head><body>",
        _head(inspector, title, len(flagged), readable, len(unreadable), origin),
        _chart(inspector.calibration, flagged, unflagged),
        _filter(len(unreadable), len(flagged), len(unflagged)),
        _legend(inspector),
        '<main class="cards">',
        *(unreadable_card(row) for row in unreadable),
        *(card(row, "flagged") for row in flagged),
        *(card(row, "unflagged") for row in carded),
        "</main>",
        _list(listed, shown=len(carded)),
        f"<footer>Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Anomalens "
        f'{escape(__version__)}. The same answers for programs: <a href="findings.jsonl">'
        "findings.jsonl</a>.</footer></body></html>",
    ])  # fmt: skip


def _by_score(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-(row.finding.score or 0.0), row.index))


def _head(inspector: Inspector, title: str, flagged: int, readable: int, unreadable: int, origin: str) -> str:
    calibration = inspector.calibration
    rate = calibration.threshold.expected_rate
    state = "flagged" if flagged else "unflagged"
    parts = [f'<header><h1 class="{state}">{title}</h1>']
    if unreadable:
        those = "image has" if unreadable == 1 else "images have"
        parts.append(f'<p class="lead unreadable">{unreadable} more {those} no answer: not readable.</p>')
    if readable and calibration.calibrated:
        chance = (
            f"If all {readable} were normal, about {_count(rate * readable)} would be flagged by "
            f"chance ({_per_cent(rate)} of normal images)."
            if readable > 1
            else f"Of normal images {_per_cent(rate)} are flagged by chance."
        )
        parts.append(f'<p class="lead">{chance}</p>')
    for note in _notes(inspector):
        parts.append(f'<p class="note">{visible(note)}</p>')
    parts.append('<dl class="facts">')
    for name, value in _facts(inspector, origin):
        parts.append(f"<div><dt>{name}</dt><dd>{value}</dd></div>")
    parts.append("</dl></header>")
    return "".join(parts)


def _notes(inspector: Inspector) -> list[str]:
    """What limits the verdicts, in plain words, each once."""
    found = []
    calibration = inspector.calibration
    if not calibration.calibrated:
        found.append(
            "Uncalibrated: no normal images were left out to set the threshold, so the p-values and "
            "the threshold are guesses; fit again with more normal images."
        )
    if calibration.threshold.note:
        found.append(calibration.threshold.note)
    found += [str(note) for note in inspector.card.get("notes", ())]
    return list(dict.fromkeys(found))


def _facts(inspector: Inspector, origin: str) -> list[tuple[str, str]]:
    calibration = inspector.calibration
    policy = calibration.policy
    n, groups = len(calibration.scores), calibration.n_groups
    grouped = "" if groups == n else f" in {groups} groups"
    learnt = inspector.card.get("data", {}).get("n_images")
    return [
        ("Images", visible(origin)),
        ("Model", visible(inspector.name)),
        (
            "Detector",
            visible(inspector.detector.name)
            + ("" if learnt is None else f", learnt from {int(learnt)} normal images"),
        ),
        (
            "Threshold",
            f"{calibration.threshold.value:.4g}, by <code>{visible(str(policy))}</code>: "
            f"{_POLICIES.get(policy.kind, '')}",
        ),
        (
            "Calibration",
            f"{n} scores of normal images{grouped}, {_METHODS[calibration.method]} "
            f"({visible(calibration.method)})",
        ),
    ]


def _chart(calibration: Calibration, flagged: Sequence[Row], unflagged: Sequence[Row]) -> str:
    chart = score_chart(
        calibration.scores,
        [row.finding.score or 0.0 for row in flagged],
        [row.finding.score or 0.0 for row in unflagged],
        calibration.threshold.value,
    )
    return (
        '<figure class="scores">' + chart + "<figcaption>Checked images: "
        f'<span class="key k-flagged"></span>{len(flagged)} flagged, '
        f'<span class="key k-normal"></span>{len(unflagged)} not flagged.</figcaption></figure>'
    )


def _filter(unreadable: int, flagged: int, unflagged: int) -> str:
    """Radio buttons that style sheets act on: a filter that needs no script."""
    choices = (
        ("all", "All", unreadable + flagged + unflagged),
        ("flagged", "Flagged", flagged),
        ("unflagged", "Not flagged", unflagged),
        ("unreadable", "Unreadable", unreadable),
    )
    parts = []
    for name, text, count in choices:
        checked = " checked" if name == "all" else ""
        off = "" if count or name == "all" else " disabled"
        parts.append(
            f'<input type="radio" name="show" id="show-{name}"{checked}{off}>'
            f'<label for="show-{name}">{text} <b>{count}</b></label>'
        )
    return "".join(parts)


def _legend(inspector: Inspector) -> str:
    calibration = inspector.calibration
    cropped = inspector.preprocessing.resize.mode == "crop"
    veiled = " Veiled parts were not looked at." if cropped else ""
    scale = ColourScale.of(calibration)
    if scale is None:
        return ""
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in TABLE[:: len(TABLE) // 8].tolist())
    return (
        '<p class="legend">Heat map: like normal images, no colour '
        '<span class="bar" style="background:linear-gradient(90deg, transparent, '
        f'{stops})"></span> map value {scale.high:.3g} and above. Boxes: regions above '
        f"{calibration.region_threshold or 0:.3g}.{veiled}</p>"
    )


def _list(rows: Sequence[Row], *, shown: int) -> str:
    if not rows:
        return ""
    more = len(rows) - MAX_LISTED
    parts = [
        '<section class="rest"><h2>Not flagged, without pictures</h2>'
        f"<p>Of the images that are not flagged, the {shown} that score highest have pictures "
        f"above; the other {len(rows)} are listed here.</p>"
        "<details><summary>Show the list</summary><table><thead><tr><th>Image</th><th>Score</th>"
        "<th>p-value</th></tr></thead><tbody>"
    ]
    for row in rows[:MAX_LISTED]:
        parts.append(
            f"<tr><td>{image_name(row.finding)}</td><td>{row.finding.score or 0:.4g}</td>"
            f"<td>{row.finding.p_value or 0:.2g}</td></tr>"
        )
    parts.append("</tbody></table>")
    if more > 0:
        parts.append(f"<p>{more} more are in findings.jsonl.</p>")
    parts.append("</details></section>")
    return "".join(parts)


def _per_cent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _count(expected: float) -> str:
    return f"{expected:.0f}" if expected >= 2 else f"{expected:.1g}"

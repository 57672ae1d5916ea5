"""What the page of a check says, from findings and a record of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from anomalens.reports.check.chart import check_chart
from anomalens.reports.check.entry import Checked, entry_of
from anomalens.reports.check.model import ModelRecord
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.colours import TABLE, ColourScale
from anomalens.reports.parts.page import html_page
from anomalens.reports.parts.texts import counted

MAX_LISTED: Final = 5000

_METHODS: Final = {
    "out-of-fold": "each scored as if the model had not learnt from it",
    "held-out": "which the model has not learnt from",
    "augmented": "slightly changed copies of the images the model learnt from",
    "unlike": "by models or pictures unlike those to come",
}
_POLICIES: Final = {
    "false-alarm-rate": "at most this share of normal images is to be flagged",
    "quantile": "this quantile of the normal scores",
    "max": "the largest normal score",
    "mean-sigma": "mean of the normal scores plus this many standard deviations",
    "pareto": "this share of normal images, extrapolated from the highest scores",
    "f1": "best F1 on labelled anomalies",
    "youden": "best balance on labelled anomalies",
    "given": "chosen by a person",
}


def check_page(model: ModelRecord, images: Sequence[Checked], *, origin: str) -> str:
    """The page of one check as HTML; the images are in any order and come from `origin`."""
    unreadable = [one for one in images if one.finding.error is not None]
    answered = sorted(
        (one for one in images if one.finding.error is None), key=lambda one: (-_score(one), one.index)
    )
    flagged = [one for one in answered if one.finding.anomalous]
    unflagged = [one for one in answered if not one.finding.anomalous]
    pictured = [one for one in unflagged if one.picture is not None]
    title = f"{len(flagged) or 'None'} of {counted(len(answered), 'image')} flagged"
    blocks: list[doc.Block] = [
        doc.Heading(1, title, "flagged" if flagged else "unflagged"),
        *_leads(model, len(answered), len(unreadable)),
        *(doc.Paragraph(note, "note") for note in _notes(model)),
        doc.Facts(tuple(_facts(model, origin))),
        check_chart(model.calibration, [*map(_score, flagged)], [*map(_score, unflagged)]),
        _filter(len(unreadable), len(flagged), len(unflagged)),
        *_legend(model),
        doc.Box(tuple(map(entry_of, [*unreadable, *flagged, *pictured])), "entries", "main"),
        *_rest([one for one in unflagged if one.picture is None], shown=len(pictured)),
    ]
    beside = ("The same answers for programs: ", doc.Mark("findings.jsonl", "link"), ".")
    return html_page(title, blocks, beside=beside, images="'self' file:")


def _score(checked: Checked) -> float:
    return checked.finding.score or 0.0


def _leads(model: ModelRecord, readable: int, unreadable: int) -> Iterator[doc.Block]:
    if unreadable:
        those = "image has" if unreadable == 1 else "images have"
        yield doc.Paragraph(f"{unreadable} more {those} no answer: not readable.", "lead unreadable")
    rate = model.calibration.threshold.expected_rate
    if readable > 1 and model.calibration.calibrated:
        expected = rate * readable
        about = f"{expected:.0f}" if expected >= 2 else f"{expected:.1g}"
        yield doc.Paragraph(
            f"If all {readable} were normal, about {about} would be flagged by chance ({100 * rate:.2g} % of "
            "normal images).",
            "lead",
        )
    elif readable and model.calibration.calibrated:
        yield doc.Paragraph(f"Of normal images {100 * rate:.2g} % are flagged by chance.", "lead")


def _notes(model: ModelRecord) -> list[str]:
    """What limits the verdicts, in plain words, each once."""
    found = []
    if not model.calibration.calibrated:
        found.append(
            "Uncalibrated: no normal images were left out to set the threshold, so the p-values and "
            "the threshold are guesses; fit again with more normal images."
        )
    if model.calibration.threshold.note:
        found.append(model.calibration.threshold.note)
    found += [str(note) for note in model.model_card.get("notes", ())]
    return list(dict.fromkeys(found))


def _facts(model: ModelRecord, origin: str) -> Iterator[tuple[str, doc.Words]]:
    calibration = model.calibration
    n, groups = len(calibration.scores), calibration.n_groups
    learnt = model.model_card.get("data", {}).get("n_images")
    yield "Images", origin
    yield "Model", model.name
    yield "Detector", model.detector + ("" if learnt is None else f", learnt from {learnt} normal images")
    policy, meaning = calibration.policy, _POLICIES.get(calibration.policy.kind, "")
    value = f"{calibration.threshold.value:.4g}, by "
    yield "Threshold", (value, doc.Mark(str(policy), "code"), f": {meaning}")
    method, grouped = calibration.method, "" if groups == n else f" in {groups} groups"
    yield "Calibration", f"{n} scores of normal images{grouped}, {_METHODS[method]} ({method})"


def _filter(unreadable: int, flagged: int, unflagged: int) -> doc.Html:
    """Radio buttons that style sheets act on: a filter that needs no script."""
    parts = []
    for name, text, count in (
        ("all", "All", unreadable + flagged + unflagged),
        ("flagged", "Flagged", flagged),
        ("unflagged", "Not flagged", unflagged),
        ("unreadable", "Unreadable", unreadable),
    ):
        state = " checked" if name == "all" else "" if count else " disabled"
        parts.append(
            f'<input type="radio" name="show" id="show-{name}"{state}>'
            f'<label for="show-{name}">{text} <b>{count}</b></label>'
        )
    return doc.Html("".join(parts))


def _legend(model: ModelRecord) -> Iterator[doc.Html]:
    scale = ColourScale.of(model.calibration)
    if scale is None:
        return
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in TABLE[1 :: len(TABLE) // 8].tolist())
    veiled = " Veiled parts were not looked at." if model.crops else ""
    yield doc.Html(
        '<p class="legend">Heat map: like normal images, no colour <span class="scale" '
        f'style="background:linear-gradient(90deg, transparent, {stops})"></span> map value {scale.high:.3g} '
        f"and above. Boxes: what reaches {model.calibration.region_threshold or 0:.3g}, as far as there is "
        f"colour.{veiled}</p>"
    )


def _rest(images: Sequence[Checked], *, shown: int) -> Iterator[doc.Block]:
    """The images that are not flagged and have no pictures, as a list."""
    if not images:
        return
    told = (
        f"Of the images that are not flagged, the {shown} that score highest have pictures above; the other "
        f"{len(images)} are listed here"
    )
    more = len(images) - MAX_LISTED
    told += f", but for {more} that only findings.jsonl has." if more > 0 else "."
    rows = [
        (one.name, f"{_score(one):.4g}", f"{one.finding.p_value or 0:.2g}") for one in images[:MAX_LISTED]
    ]
    table = doc.Table(("Image", "Score", "p-value"), tuple(rows))
    fold = doc.Fold((doc.Heading(2, "Not flagged, without pictures"),), (doc.Paragraph(told), table))
    yield doc.Box((fold,), "rest", "section")

"""The page of the whole demonstration: what was found, false alarms, and where it fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from anomalens.demo.record import Pictures, Trial
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.page import html_page

_SIDE: Final = 160  # pixels at which a tile is shown
_TITLE: Final = "What is found after learning from intact surfaces alone"


def write_page(path: Path, trials: Sequence[Trial]) -> None:
    """Write the page of some trials."""
    works = [trial for trial in trials if not trial.photograph.fails]
    fails = [trial for trial in trials if trial.photograph.fails]
    blocks: list[doc.Block] = [
        doc.Heading(1, _TITLE),
        doc.Paragraph(
            "Each photograph is cut into tiles. Three of four are learnt from; of the others every second "
            "one gets a painted scratch, hole or stain. No defect is ever learnt from.",
            "lead",
        ),
        table(trials),
        *(block for trial in works for block in _section(trial)),
        *_false_alarms(works),
        *(block for trial in fails for block in _section(trial)),
        doc.Heading(2, "Your own pictures"),
        doc.Command("anomalens fit FOLDER_OF_GOOD_PICTURES --out part.anomalens"),
        doc.Command("anomalens check part.anomalens NEW_PICTURES --out report"),
    ]
    beside = ("Every tile with its answer: ", *_links(trials))
    path.write_text(html_page(_TITLE, blocks, beside=beside, images="'self' file:"), encoding="utf-8")


def table(trials: Sequence[Trial]) -> doc.Table:
    """A row for each photograph."""
    return doc.Table(
        ("photograph", "holes", "scratches", "stains", "false alarms", "AUROC"),
        tuple(
            (
                trial.photograph.name,
                *(f"{trial.found.get(k, 0)}/{trial.painted[k]}" for k in ("hole", "scratch", "stain")),
                f"{trial.false_alarms}/{trial.n_good}",
                f"{trial.image_auroc:.3f}",
            )
            for trial in trials
        ),
    )


def _section(trial: Trial) -> Iterator[doc.Block]:
    photograph, n = trial.photograph, sum(trial.painted.values())
    where = "Where it fails: " if photograph.fails else ""
    found = f"{sum(trial.found.values())} of {n} painted tiles found"
    heading = f"{where}{photograph.what}"
    yield doc.Heading(2, f"{heading[0].upper()}{heading[1:]}: {found}")
    yield doc.Paragraph(f"Learnt from {trial.n_normal} intact tiles in {trial.fit_seconds:.0f} seconds.")
    if photograph.fails:
        yield doc.Paragraph(photograph.fails)
    photos = [
        photo
        for kind, (pictures, flagged) in trial.shown.examples.items()
        for photo in _pair(trial, pictures, f"{kind}, {'found' if flagged else 'not found'}")
    ]
    yield doc.Photos(tuple(photos), "album")


def _pair(trial: Trial, pictures: Pictures, said: str) -> Iterator[doc.Photo]:
    for name, caption in zip(pictures, (said, "where"), strict=True):
        source = None if name is None else f"{trial.folder.name}/report/{name}"
        yield doc.Photo(source, f"{trial.photograph.what}, {said}", caption, (_SIDE, _SIDE))


def _false_alarms(trials: Sequence[Trial]) -> Iterator[doc.Block]:
    if not trials:
        return
    count, of = sum(trial.false_alarms for trial in trials), sum(trial.n_good for trial in trials)
    yield doc.Heading(2, f"False alarms: {count} of {of} intact tiles")
    yield doc.Paragraph(
        (
            "One in twenty was accepted when the threshold was set, with ",
            doc.Mark("--false-alarm-rate 0.05", "code"),
            f": some {of / 20:.0f} of {of} are to be expected. A smaller rate raises fewer and finds less.",
        )
    )
    photos = [
        photo
        for trial in trials
        for pictures in trial.shown.false_alarms
        for photo in _pair(trial, pictures, f"{trial.photograph.name}, intact")
    ]
    if photos:
        yield doc.Photos(tuple(photos), "album")


def _links(trials: Sequence[Trial]) -> Iterator[str | doc.Mark]:
    for number, trial in enumerate(trials):
        yield ", " if number else ""
        yield doc.Mark(f"{trial.folder.name}/report/index.html", "link")
    yield "."

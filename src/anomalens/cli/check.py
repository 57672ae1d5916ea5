"""`anomalens check`: verdicts for new pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from anomalens.cli.bars import bar, coloured, say
from anomalens.cli.options import model_argument, reference_option, runtime_options
from anomalens.cli.printing import count, json_text
from anomalens.cli.sources import usable_images
from anomalens.errors import SettingError

if TYPE_CHECKING:
    from anomalens.images import ImageSet
    from anomalens.inspector import Finding, Inspector
    from anomalens.inspector.answering import Explain

_WORDS: Final = {"ok": ("ok", "green"), "look": ("LOOK", "yellow"), "reject": ("REJECT", "red")}


@click.command(short_help="Verdicts for new pictures.")
@model_argument
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@reference_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, on standard output.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write overlays and a page to look at.",
)
@click.option(
    "--explain",
    type=click.Choice(["flagged", "all", "none"]),
    default="flagged",
    show_default=True,
    help="Which images to say why of, where the detector knows: what adds most to the score, and the most "
    "similar normal images.",
)
@click.option(
    "--budget",
    callback=lambda _context, _option, text: None if text is None else _share(text),
    metavar="SHARE",
    help="Flag this share of the IMAGEs, those that score highest, whatever the model's threshold: 5% or "
    "0.05. They are scored once more.",
)
@click.option(
    "--class",
    "class_name",
    metavar="NAME",
    help="Which class (a camera, a shelf, a product) the IMAGEs are of, for models fitted with --p-values "
    "class; a manifest's column `class` says it for each.",
)
@click.option(
    "--workers",
    default=2,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Threads that decode ahead of scoring.",
)
@runtime_options
def check(
    inspector: Inspector,
    images: tuple[str, ...],
    reference: str | None,
    as_json: bool,
    out: Path | None,
    explain: Explain,
    budget: float | None,
    workers: int,
    class_name: str | None,
) -> int:
    """Check IMAGEs (files, folders, a glob in quotes, a CSV manifest) with the model FILE.

    \b
      anomalens check part.anomalens new.jpg
      anomalens check part.anomalens photos/new --out report
      anomalens check part.anomalens photos/new --json | jq .score
      anomalens check part.anomalens photos/new --budget 5%
      anomalens check boards.anomalens boards/new --reference boards/templates

    Each picture is "ok", or flagged: "LOOK" at it, or "REJECT", which normal pictures get a fifth as
    often.

    Exit code 0: none flagged, 1: some flagged, 2: an image or the model cannot be read (the others
    are answered all the same), 3: an error of ours.
    """
    image_set, problems = _opened(images, class_name, inspector)
    if budget is not None:
        from anomalens.inspector.budget import within_budget

        inspector = within_budget(
            inspector, image_set, budget, references=reference, workers=workers, progress=bar
        )
        if inspector.calibration.threshold.note:
            click.echo(f"note: {inspector.calibration.threshold.note}", err=True)
    steps = inspector.check(
        image_set,
        references=reference,
        explain=explain,
        pictures=out is not None,
        workers=workers,
        progress=bar,
    )
    report = None
    if out is not None:
        from anomalens.reports import CheckReport, ModelRecord

        report = CheckReport(out, ModelRecord.of(inspector), image_set)
    tally = _Tally(inspector)
    for finding in steps:
        tally.add(finding)
        if report is not None:
            report.add(finding)
        if as_json or report is None or _kind(finding) != "not flagged" or finding.notes:
            say(json_text(finding.to_json()) if as_json else _line(finding))
    for text in tally.sentences():
        click.echo(text, err=True)
    if report is not None:
        click.echo(f"page: {report.finish()}", err=True)
    return 2 if tally.counts["unreadable"] or problems else 1 if tally.counts["flagged"] else 0


def _opened(
    images: Sequence[str], class_name: str | None, inspector: Inspector
) -> tuple[ImageSet, Sequence[Exception]]:
    """What is there, and what is not; said of both where something is passed over."""
    image_set, problems = usable_images(images)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    for name in image_set.ignored[:1]:
        click.echo(
            f"note: {count(len(image_set.ignored), 'file')} passed over for not being images, e.g. {name}",
            err=True,
        )
    if image_set.left_out:
        click.echo(f"note: passed over: {image_set.left_out_in_words}", err=True)
    return image_set if class_name is None else _of_class(image_set, class_name, inspector), problems


def _of_class(images: ImageSet, name: str, inspector: Inspector) -> ImageSet:
    from dataclasses import replace

    known = inspector.calibration.by_class
    if name not in known:
        raise SettingError(
            f"The model {inspector.name} has no threshold of its own for the class {name!r:.40}; it has "
            f"{', '.join(known) or 'none, since it was not fitted with --p-values class'}."
        )
    return replace(images, entries=tuple(replace(entry, class_name=name) for entry in images))


class _Tally:
    """What is to be said of all images together."""

    def __init__(self, inspector: Inspector) -> None:
        from anomalens.inspector.another_batch import Batch

        self.counts: Counter[str] = Counter()
        self._batch, self._odd = Batch(inspector.kind), 0

    def add(self, finding: Finding) -> None:
        self.counts[_kind(finding)] += 1
        self._batch.add(finding)
        self._odd += bool(finding.notes)

    def sentences(self) -> Iterator[str]:
        told = ", ".join(f"{self.counts[kind]} {kind}" for kind in ("flagged", "not flagged", "unreadable"))
        yield f"{told} of {count(self.counts.total(), 'image')}"
        if self._odd:
            those = f"{count(self._odd, 'picture')} {'is' if self._odd == 1 else 'are'}"
            yield f"note: {those} blank or of another kind than the model learnt from."
        if (sentence := self._batch.sentence) is not None:
            yield f"note: {sentence}"


def _share(text: str) -> float:
    """A share, as "5%" or "0.05"."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise SettingError(f"The budget {text!r} is no share; write 5% or 0.05.") from None


def _kind(finding: Finding) -> str:
    if finding.error is not None:
        return "unreadable"
    return "flagged" if finding.anomalous else "not flagged"


def _line(finding: Finding) -> str:
    if finding.error is not None:
        return f"{coloured('ERROR', 'magenta')}  {finding.image}: {finding.error}"
    word, colour = _WORDS[finding.verdict or "ok"]
    where = ""
    if finding.regions:
        where = f"  {count(len(finding.regions), 'region')}, "
        where += f"strongest {list(finding.regions[0].box)}"
    said = ""
    if finding.label is not None and finding.confidence is not None:
        from anomalens.inspector.finding import class_in_words

        said = f"  {class_in_words(finding.label, finding.confidence, known=not finding.anomalous)}"
    notes = "".join(f"  {note}" for note in finding.notes)
    shown = coloured(f"{word:<6}", colour)
    return f"{shown} score {finding.score:9.4f}  p {finding.p_value:.4f}  {finding.image}{said}{where}{notes}"

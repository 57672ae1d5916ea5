"""`anomalens classify`: learn which class a picture shows, and test that."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from anomalens.cli.bars import bar
from anomalens.cli.options import fit_options
from anomalens.cli.printing import count
from anomalens.cli.tables import columns
from anomalens.inspector.fit_options import FitOptions
from anomalens.places import require_place, write_text

if TYPE_CHECKING:
    from anomalens.evaluation.classify import Evaluated
    from anomalens.inspector import Classifier

_NOT_HERE: Final = ("detector", "tile", "overlap", "keep_thumbnails", "ms")


@click.group(short_help="Learn which class a picture shows, and which show none.")
def classify() -> None:
    """Learn which class a picture shows, and find pictures of none of the known classes.

    \b
      anomalens classify fit photos --out kinds.anomalens
      anomalens check kinds.anomalens new.jpg
      anomalens classify evaluate kinds.anomalens --data photos --ood other_photos
    """


_root = click.option("--root", metavar="DIR", help="Where named datasets are.")


@classify.command("fit")
@click.argument("dataset", metavar="DATASET")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="The model file to write; of several --label columns NAME becomes NAME-COLUMN.",
)  # fmt: skip
@_root
@click.option(
    "--label", "labels", multiple=True, metavar="COLUMN",
    help="Column of a CSV that says the class; repeat for more, each gets a model of its own.",
)  # fmt: skip
@click.option("--leave-out", multiple=True, metavar="CLASS", help="Do not learn this class; repeat for more.")
@click.option(
    "--preset", metavar="NAME", help="cifar10, emotions or defects; what else is given goes before it."
)
@click.option(
    "--train",
    metavar="NAME",
    help="frozen: a head on a backbone's features; or a network, with the extra `train`: cnn, residual, tune "
    "or tune-all. [default: frozen]",
)
@click.option("--head", metavar="NAME", help="linear or mlp. [default: linear]")
@click.option("--score", metavar="NAME", help="What finds pictures of no known class. [default: vim]")
@fit_options(leave_out=_NOT_HERE)
def fit(
    dataset: str,
    out: Path,
    root: str | None,
    labels: tuple[str, ...],
    leave_out: tuple[str, ...],
    preset: str | None,
    options: FitOptions,
    **own: str | None,
) -> int:
    """Learn the classes of DATASET's training part and save one file.

    DATASET is a folder of class folders (or train/<class> and test/<class>), a CSV, an .npz or a tar, or
    a name from `anomalens datasets` with --root. Of what has no split three quarters are learnt from.

    \b
      anomalens classify fit photos --out kinds.anomalens
      anomalens classify fit cifar10 --root data --preset cifar10 --out cifar10.anomalens
      anomalens classify fit faces.csv --label emotion --label age --out faces.anomalens
    """
    from anomalens.inspector import Classifier

    chosen = {name: value for name, value in own.items() if value is not None}
    for label in labels or (None,):
        file = out if len(labels) < 2 else out.with_stem(f"{out.stem}-{label}")
        require_place(file, "--out")
        classifier = Classifier.fit(
            dataset,
            root=root,
            label=label,
            leave_out=leave_out,
            preset=preset,
            options=options,
            progress=bar,
            **chosen,
        )
        classifier.save(file)
        _told(classifier, file)
    where = f" --root {shlex.quote(root)}" if root else ""
    where += f" --label {shlex.quote(label)}" if label else ""
    click.echo(
        f"next: anomalens classify evaluate {shlex.quote(str(file))} --data {shlex.quote(dataset)}{where}"
    )
    return 0


def _told(classifier: Classifier, file: Path) -> None:
    inspector = classifier.inspector
    n = inspector.card["data"]["n_images"]
    click.echo(f"{file}: {len(classifier.classes)} classes, learnt from {count(n, 'image')}")
    threshold = inspector.calibration.threshold
    click.echo(
        f"none of the known classes where {classifier.detector.score_} is above {threshold.value:.4g} "
        f"({inspector.calibration.policy}), calibrated on {len(inspector.calibration.scores)} "
        f"{inspector.calibration.method} scores"
    )
    for note in classifier.detector.notes:
        click.echo(note)


@classify.command("evaluate")
@click.argument("model", type=click.Path(path_type=Path, readable=False), metavar="FILE")
@click.option("--data", required=True, metavar="DATASET", help="Pictures of known classes: its test part.")
@click.option("--ood", multiple=True, metavar="DATASET", help="Pictures of no known class; repeat for more.")
@click.option(
    "--score", "scores", multiple=True, metavar="NAME", help="Repeat for more, or all. [default: the model's]"
)
@_root
@click.option("--label", metavar="COLUMN", help="Column of a CSV that says the class.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), metavar="CARD",
    help="Write the result card.",
)  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path), metavar="DIR", help="Write a page to decide by.")
def evaluate(
    model: Path,
    data: str,
    ood: tuple[str, ...],
    scores: tuple[str, ...],
    root: str | None,
    label: str | None,
    json_file: Path | None,
    report: Path | None,
) -> int:
    """Test the classifier FILE: which class, and whether it is any.

    DATASETs as `classify fit` takes them. Pictures that FILE learnt from are left out; those of classes that
    it does not know count as strangers.

    \b
      anomalens classify evaluate kinds.anomalens --data photos --ood other_photos --json card.json
      anomalens classify evaluate cifar10.anomalens --data cifar10 --ood mnist --score all --root data
    """
    from anomalens.datasets.classes import load_classes, strangers, to_test
    from anomalens.detectors.classifier.scores import SCORES
    from anomalens.evaluation.classify import evaluate_classifier
    from anomalens.inspector import Classifier

    if json_file is not None:
        require_place(json_file, "--json")
    asked = tuple(SCORES) if "all" in scores else scores
    classifier = Classifier.load(model)
    classes = load_classes(data, root=root, label=label)
    found = evaluate_classifier(
        classifier,
        data,
        to_test(classes),
        strangers={name: strangers(name, root=root) for name in ood},
        scores=asked,
        notes=classes.notes,
        progress=bar,
    )
    found.card["command"] = shlex.join(
        ["anomalens", "classify", "evaluate", str(model), "--data", data]
        + [word for name in ood for word in ("--ood", name)]
        + [word for name in scores for word in ("--score", name)]
        + (["--root", root] if root else [])
        + (["--label", label] if label else [])
    )
    if json_file is not None:
        write_text(json_file, f"{json.dumps(found.card, ensure_ascii=False, indent=1)}\n")
    _tell(found.card)
    if report is not None:
        click.echo(f"page: {_reported(found, report)}")
    return 0


@classify.command("doubts")
@click.argument("dataset", metavar="DATASET")
@click.option(
    "--report", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="Where the page and the table of all images go.",
)  # fmt: skip
@_root
@click.option("--label", metavar="COLUMN", help="Column of a CSV that says the class.")
@click.option("--preset", metavar="NAME", help="cifar10, emotions or defects.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the parts that are left out.")
def doubts(
    dataset: str, report: Path, root: str | None, label: str | None, preset: str | None, seed: int
) -> int:
    """Find labels of DATASET's training part that look wrong.

    Every picture is named by a classifier that has learnt from the others; the page shows those first that
    it would most surely name otherwise. A person decides; nothing is changed.

    \b
      anomalens classify doubts photos --report doubts
    """
    import numpy as np

    from anomalens.datasets.classes import load_classes
    from anomalens.errors import ImageSetError
    from anomalens.inspector import Classifier
    from anomalens.reports.classify.doubts import write_doubts

    images = load_classes(dataset, root=root, label=label, seed=seed).train
    fitted = Classifier.fit(images, preset=preset, options=FitOptions(seed=seed), progress=bar)
    judged = fitted.detector.judged_
    if judged is None:
        raise ImageSetError(f"No image of {dataset} can be left out to be judged; give more of each class.")
    places = {entry.id: row for row, entry in enumerate(images)}
    asked = images.subset([places[name] for name in judged.ids])
    labels = np.array([fitted.classes.index(str(entry.class_name)) for entry in asked])
    page, otherwise = write_doubts(report, asked, labels, judged.shares, fitted.classes)
    click.echo(f"{otherwise} of {count(len(asked), 'image')} would be named otherwise")
    if unasked := len(images) - len(asked):
        click.echo(f"{count(unasked, 'image')} could not be left out, and are not judged", err=True)
    click.echo(f"page: {page}")
    return 0


def _tell(card: dict[str, Any]) -> None:
    flagged = card["known_flagged"]
    click.echo(
        f"accuracy {card['accuracy']:.3f}, macro F1 {card['macro_f1']:.3f}, calibration error "
        f"{card['calibration_error']:.3f} (perfect: {card['calibration_error_if_perfect']:.3f})"
    )
    click.echo(
        f"none of the known classes: {flagged['count']} of {flagged['total']} of known ones "
        f"({flagged['count'] / flagged['total']:.1%}, 95 % interval {flagged['low']:.1%} to "
        f"{flagged['high']:.1%})"
    )
    keys = ("dataset", "score", "auroc", "aupr_in", "aupr_out", "fpr95", "precision", "recall", "f1")
    rows = [
        [row[key] if isinstance(row[key], str) else _number(row[key]) for key in keys] for row in card["ood"]
    ]
    for line in columns([list(keys), *rows]) if rows else ():
        click.echo(line)
    for note in card["notes"]:
        click.echo(f"note: {note}", err=True)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _reported(found: Evaluated, folder: Path) -> Path:
    """The page, with the surest of the wrong answers as pictures."""
    from anomalens.inspector.thumbnails import jpeg
    from anomalens.reports.classify.numbers import SetScores, WrongPicture, pictures_wanted
    from anomalens.reports.classify.report import write_classify_report

    scores = {name: SetScores(known, found.unknown[name]) for name, known in found.known.items()}
    wrong = [
        WrongPicture(
            one.image,
            one.truth,
            one.predicted,
            one.confidence,
            jpeg(found.tested.read(one.index).pixels),
        )
        for one in pictures_wanted(found.card, found.wrong)
    ]
    return write_classify_report(found.card, folder, scores=scores, wrong=wrong)

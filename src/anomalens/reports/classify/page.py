"""The page of a classifier's evaluation: both of its tasks, from the card and what was kept beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from anomalens.metrics.verdicts import clopper_pearson
from anomalens.reports.classify.drawings import (
    MAX_DRAWN,
    confusion_drawing,
    histograms,
    reliability_drawing,
    roc_drawing,
)
from anomalens.reports.classify.numbers import PAIRS, PER_PAIR, ClassifierNumbers, SetScores, WrongPicture
from anomalens.reports.classify.remarks import remarks_on
from anomalens.reports.evaluation.curves import training_curves
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.texts import counted, per_cent, rate_text

_ABOUT_FIGURES: Final = (
    "AUPR-in takes known pictures as positives, AUPR-out strange ones; FPR95 is the share of known pictures "
    "that are flagged where 95 % of the strange ones are. Conventions of OpenOOD 1.5."
)
_SETS: Final = 4  # with more, the curves of a second score could not be told apart
_ABOUT_SCORES: Final = (
    "Pictures of other sets belong to no class, and a score should be higher for them than for known ones. "
    "AUROC is how often it is, for a picture of each; guessing has 0.5."
)


def classify_page(
    card: Mapping[str, Any],
    scores: Mapping[str, SetScores] | None = None,
    wrong: Sequence[WrongPicture] = (),
) -> list[doc.Block]:
    """The page as a document.

    Parameters
    ----------
    card : mapping
        As `anomalens classify evaluate --json` writes it. `accuracy`, `macro_f1`, `per_class`, `confusion`
        and `calibration_error` are needed. Shown where there: `dataset`, `approach` (sentences), `settings`,
        `calibration_error_if_perfect`, `reliability`, `ood`, `score` (of the verdicts), `threshold`, `asked`
        (the false-alarm rate), `known_flagged` (`count`, `total`), `curves`, `notes`, `command`.
    scores : mapping of str to SetScores, optional
        Raw scores by the score's name, for curves and histograms.
    wrong : sequence of WrongPicture
        Pictures that were taken for another class; those of the commonest confusions are shown.

    Raises
    ------
    InputError
        The card lacks what is needed.
    """
    numbers = ClassifierNumbers.of(card)
    return [
        doc.Heading(1, f"Classifier of {card.get('dataset', counted(len(numbers.names), 'class'))}"),
        doc.Paragraph(_headline(numbers), "headline"),
        _remarks(numbers),
        *_approach(card),
        *_classes(numbers, wrong),
        *_strangers(numbers, scores or {}),
        *_training(card),
        *(doc.Paragraph(str(note), "note") for note in dict.fromkeys(card.get("notes", ()))),
        *_command(card),
    ]


def _headline(numbers: ClassifierNumbers) -> doc.Words:
    words: list[str | doc.Mark] = [
        "Which class: ",
        doc.Mark(f"{per_cent(numbers.right.value)} right"),
        f" of {numbers.n} pictures of {len(numbers.names)} classes, ",
        f"macro F1 {numbers.card['macro_f1']:.3f}. ",
    ]
    if rows := [row for name in numbers.sets if (row := numbers.row(name, numbers.used))]:
        areas = [row.auroc for row in rows]
        words += [
            "None of the classes: ",
            doc.Mark(f"mean AUROC {sum(areas) / len(areas):.3f}"),
            f" over {counted(len(rows), 'set')} with the score {numbers.used}",
        ]
        if (alarms := numbers.false_alarms) is not None and alarms.value is not None:
            words.append(f", {per_cent(alarms.value)} false alarms")
        words.append(".")
    return tuple(words)


def _remarks(numbers: ClassifierNumbers) -> doc.Block:
    remarks, parts = remarks_on(numbers), []
    for head, sentences, none in (
        ("Strengths", remarks.strengths, "None that these figures prove."),
        ("Limits", remarks.limits, "None that these figures show."),
        ("What to do", remarks.recommendations, "Nothing that follows from these figures."),
    ):
        items = tuple(map(doc.with_code, sentences)) or (none,)
        parts.append(doc.Box((doc.Heading(3, head), doc.Bullets(items))))
    return doc.Box(tuple(parts), "remarks")


def _approach(card: Mapping[str, Any]) -> Iterator[doc.Block]:
    sentences, settings = card.get("approach", ()), card.get("settings", {})
    if not sentences and not settings:
        return
    yield doc.Heading(2, "Approach and method")
    for sentence in sentences:
        yield doc.Paragraph(doc.with_code(str(sentence)))
    if settings:
        pairs = tuple((str(name).replace("_", " "), str(value)) for name, value in settings.items())
        yield doc.Fold((doc.Heading(3, "Settings"),), (doc.Facts(pairs),))


def _classes(numbers: ClassifierNumbers, wrong: Sequence[WrongPicture]) -> Iterator[doc.Block]:
    card = numbers.card
    yield doc.Heading(2, "Task 1: which class")
    facts: list[tuple[str, doc.Words]] = [
        ("right", rate_text(numbers.right)),
        ("macro F1", f"{card['macro_f1']:.3f}"),
        ("calibration error", _calibration(card)),
    ]
    yield doc.Facts(tuple(facts))
    bins = card.get("reliability")
    drawn = (doc.Box((reliability_drawing(bins),), "curves"),) if bins else ()
    yield doc.Box((_class_table(card), *drawn), "halves")
    yield doc.Heading(3, "Confusions")
    beside: list[doc.Block] = []
    if len(numbers.names) <= MAX_DRAWN:
        beside.append(confusion_drawing(numbers.names, numbers.confusion))
    pairs = numbers.pairs(PAIRS)
    if pairs:
        rows = tuple((truth, said, str(n), per_cent(share)) for truth, said, n, share in pairs)
        beside.append(doc.Table(("shows", "taken for", "pictures", "of the class"), rows, "narrow"))
    yield doc.Box(tuple(beside), "halves")
    if boxes := tuple(_pictures(pairs, wrong)):
        yield doc.Box(boxes, "pairs")


def _calibration(card: Mapping[str, Any]) -> str:
    told = f"{card['calibration_error']:.3f} in 15 bins"
    perfect = card.get("calibration_error_if_perfect")
    return told if perfect is None else f"{told}; a perfectly calibrated one of this size: {perfect:.3f}"


def _class_table(card: Mapping[str, Any]) -> doc.Block:
    rows: list[tuple[doc.Words, ...]] = []
    for one in card["per_class"]:
        recall: doc.Words = "–"
        if one["n"]:
            found = clopper_pearson(round(one["recall"] * one["n"]), one["n"])
            recall = (f"{one['recall']:.2f}", doc.Mark(f"{found.low:.2f} to {found.high:.2f}", "under"))
        precision, f1 = (f"{one[key]:.2f}" if one[key] is not None else "–" for key in ("precision", "f1"))
        rows.append((str(one["name"]), str(one["n"]), precision, recall, f1))
    return doc.Table(("class", "pictures", "precision", "recall, 95 %", "F1"), tuple(rows), "narrow")


def _pictures(
    pairs: Sequence[tuple[str, str, int, float]], wrong: Sequence[WrongPicture]
) -> Iterator[doc.Block]:
    for truth, said, n, _ in pairs:
        shown = [one for one in wrong if (one.truth, one.predicted) == (truth, said)][:PER_PAIR]
        if shown:
            head = doc.Heading(3, f"“{truth}” taken for “{said}”")
            of = f"the surest {len(shown)} of {n}" if len(shown) < n else counted(n, "picture")
            photos = doc.Photos(tuple(map(_photo, shown)), "small")
            yield doc.Box((head, doc.Paragraph(of, "soft"), photos))


def _photo(one: WrongPicture) -> doc.Photo:
    source = None if one.jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(one.jpeg).decode()}"
    told = f"The picture {one.image}, which shows {one.truth}"
    return doc.Photo(source, told, (one.image, doc.Mark(f"{per_cent(one.confidence)} sure", "under")))


def _strangers(numbers: ClassifierNumbers, scores: Mapping[str, SetScores]) -> Iterator[doc.Block]:
    yield doc.Heading(2, "Task 2: none of the known classes")
    if not numbers.ood:
        yield doc.Paragraph("No set of other pictures was given, so nothing is measured.", "soft")
        return
    yield doc.Paragraph(_ABOUT_SCORES)
    used = numbers.used
    shown = {name: scores[name] for name in (used, *_others(numbers)) if name is not None and name in scores}
    curves = roc_drawing(shown)
    drawn = () if curves is None else (doc.Box((curves,), "curves"),)
    yield doc.Box((_areas(numbers), *drawn), "halves")
    yield from _verdicts(numbers)
    if used is not None and used in scores:
        yield doc.Heading(3, f"Scores of {used}")
        yield from histograms(scores[used], numbers.card.get("threshold"))
    yield doc.Fold(
        (doc.Heading(3, "All figures of all scores"),), (doc.Paragraph(_ABOUT_FIGURES), _all_figures(numbers))
    )


def _others(numbers: ClassifierNumbers) -> list[str]:
    """The best of the other scores, whose curves stand beside those of the used one."""
    ranked = sorted((s for s in numbers.scores if s != numbers.used), key=numbers.mean_auroc, reverse=True)
    return ranked[:1] if len(numbers.sets) <= _SETS else []


def _areas(numbers: ClassifierNumbers) -> doc.Block:
    """AUROC of every score on every set, the best of each in bold, best mean first."""
    best = {
        name: max(round(row.auroc, 3) for row in numbers.ood if row.dataset == name) for name in numbers.sets
    }
    rows: list[tuple[doc.Words, ...]] = []
    for score in sorted(numbers.scores, key=numbers.mean_auroc, reverse=True):
        cells: list[doc.Words] = [
            (f"{score} ", doc.Mark("used", "badge", "good")) if score == numbers.used else score
        ]
        for name in numbers.sets:
            row = numbers.row(name, score)
            text = "–" if row is None else f"{row.auroc:.3f}"
            cells.append((doc.Mark(text),) if row is not None and round(row.auroc, 3) == best[name] else text)
        rows.append((*cells, f"{numbers.mean_auroc(score):.3f}"))
    return doc.Table(("AUROC", *numbers.sets, "mean"), tuple(rows), "narrow")


def _verdicts(numbers: ClassifierNumbers) -> Iterator[doc.Block]:
    card, alarms = numbers.card, numbers.false_alarms
    told = [row for row in numbers.ood if row.score == numbers.used and row.recall is not None]
    if not told and alarms is None:
        return
    yield doc.Heading(3, "Verdicts")
    if alarms is not None:
        asked = "" if card.get("asked") is None else f" at an asked rate of {per_cent(float(card['asked']))}"
        yield doc.Paragraph(f"Known pictures called none of the classes{asked}: {rate_text(alarms)}.")
    if told:
        yield doc.Table(
            ("set", "found (recall)", "precision", "F1"),
            tuple((r.dataset, *(_two(value) for value in (r.recall, r.precision, r.f1))) for r in told),
            "narrow",
        )


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _all_figures(numbers: ClassifierNumbers) -> doc.Block:
    rows: list[tuple[doc.Words, ...]] = []
    for name in numbers.sets:
        rows.append((name,))
        for row in (one for one in numbers.ood if one.dataset == name):
            values = (row.auroc, row.aupr_in, row.aupr_out, row.fpr95)
            rows.append((row.score, *(f"{value:.3f}" for value in values)))
    return doc.Table(("score", "AUROC", "AUPR-in", "AUPR-out", "FPR95"), tuple(rows), "narrow")


def _training(card: Mapping[str, Any]) -> Iterator[doc.Block]:
    if curves := tuple(training_curves(card)):
        yield doc.Heading(2, "Training")
        yield doc.Box(curves, "curves")


def _command(card: Mapping[str, Any]) -> Iterator[doc.Block]:
    if command := card.get("command"):
        yield doc.Heading(2, "Again")
        yield doc.Command(str(command))

"""What a classifier is worth: on images of known classes, and against images of none of them.

Every image is answered once, by the one scoring path; the scores that were asked for come with each answer,
and each has a threshold of its own from the images that were left out at fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens import __version__
from anomalens.calibration import Calibration
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet
from anomalens.inspector import Finding
from anomalens.inspector.classifier import Classifier
from anomalens.inspector.model_card import short_hash
from anomalens.metrics.classification import classification_figures, ood_figures
from anomalens.metrics.verdicts import clopper_pearson
from anomalens.progress import Progress, silent

_NAMED: Final = 5  # classes in a sentence


@dataclass(frozen=True)
class Wrong:
    """An image that was taken for another class."""

    index: int
    image: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Evaluated:
    """What was found.

    Attributes
    ----------
    card : dict
        Plain data; see `classify evaluate --json`.
    known : mapping of str to float64 [n]
        By score, the raw scores of images of known classes.
    unknown : mapping of str to mapping of str to float64 [m]
        By score and set, those of images of none.
    tested : ImageSet
        The images of known classes.
    wrong : tuple of Wrong
        The surest first.
    """

    card: dict[str, Any]
    known: Mapping[str, NDArray[np.float64]]
    unknown: Mapping[str, Mapping[str, NDArray[np.float64]]]
    tested: ImageSet
    wrong: tuple[Wrong, ...]


def evaluate_classifier(
    classifier: Classifier,
    dataset: str,
    images: ImageSet,
    *,
    strangers: Mapping[str, ImageSet] | None = None,
    scores: Sequence[str] = (),
    notes: Sequence[str] = (),
    progress: Progress = silent,
) -> Evaluated:
    """Test a classifier.

    Parameters
    ----------
    classifier : Classifier
    dataset : str
        What the images are called.
    images : ImageSet
        With classes. Those of classes that the model does not know are one more set of strangers; those that
        it has learnt from are left out, and counted.
    strangers : mapping of str to ImageSet, optional
        Images of no known class, by the name of the set.
    scores : sequence of str, optional
        What finds them; by default the model's own.
    notes : sequence of str

    Raises
    ------
    InputError
        An unknown score, or no image to test with.
    """
    names = tuple(dict.fromkeys(scores)) or (classifier.detector.score_,)
    telling, calibrations = classifier.telling(names)
    told = [*notes]
    tested, others = _known_and_others(classifier, dataset, _unseen(classifier, images, told), told)
    sets = {**others, **(strangers or {})}
    entries, findings = _answers(telling, tested, dataset, told, progress)
    labels = np.array([classifier.classes.index(str(tested[i].class_name)) for i in entries])
    figures = classification_figures(labels, _shares(findings, classifier.classes), classifier.classes)
    known = {name: _scores(findings, name) for name in names}
    found: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in names}
    rows_of_card = []
    for title, stranger in sets.items():
        _, answers = _answers(telling, stranger, title, told, progress)
        for name in names:
            found[name][title] = _scores(answers, name)
            rows_of_card.append(_ood_row(title, name, known[name], found[name][title], calibrations[name]))
    used = classifier.detector.score_ if classifier.detector.score_ in names else names[0]
    card = {
        "anomalens": __version__,
        "dataset": dataset,
        "model": classifier.inspector.name,
        "approach": _approach(classifier),
        "settings": dict(classifier.inspector.card["detector"]["settings"]),
        **asdict(figures),
        **_verdicts(used, known[used], calibrations[used]),
        "ood": rows_of_card,
        "curves": {name: list(values) for name, values in classifier.detector.curves.items()},
        "notes": list(dict.fromkeys(told)),
    }
    return Evaluated(card, known, found, tested, _wrong(tested, entries, findings))


def _known_and_others(
    classifier: Classifier, dataset: str, fresh: ImageSet, told: list[str]
) -> tuple[ImageSet, dict[str, ImageSet]]:
    """The images of known classes, and those of other classes as a set of strangers."""
    bare = [entry.id for entry in fresh if not entry.class_name]
    if bare:
        raise ImageSetError(
            f"{len(bare)} of {len(fresh)} images of {dataset} have no class, such as {bare[0]}; give their "
            "classes, or name the set with --ood."
        )
    known = [i for i, entry in enumerate(fresh) if entry.class_name in classifier.classes]
    if not known:
        raise ImageSetError(
            f"No image of {dataset} is left to test with that is of a class the model knows "
            f"({_first(classifier.classes)}) and that it has not learnt from."
        )
    if len(known) == len(fresh):
        return fresh, {}
    others = fresh.subset([i for i, e in enumerate(fresh) if e.class_name not in classifier.classes])
    unknown = sorted({str(entry.class_name) for entry in others})
    told.append(
        f"{len(others)} images of {len(unknown)} classes that the model does not know ({_first(unknown)}) "
        "count as strangers."
    )
    return fresh.subset(known), {"other classes": others}


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + " …" * (len(names) > _NAMED)


def _unseen(classifier: Classifier, images: ImageSet, told: list[str]) -> ImageSet:
    learnt = set(classifier.inspector.card["data"].get("image_hashes", ()))
    fresh = [i for i in range(len(images)) if short_hash(images, i) not in learnt] if learnt else None
    if fresh is None or len(fresh) == len(images):
        return images
    told.append(f"{len(images) - len(fresh)} images that the model learnt from are left out.")
    return images.subset(fresh)


def _answers(
    classifier: Classifier, images: ImageSet, title: str, told: list[str], progress: Progress
) -> tuple[list[int], list[Finding]]:
    """The findings of the images that can be answered, and which those are; the others are counted."""
    rows, found, problems = [], [], []
    for row, finding in enumerate(classifier.check(images, progress=progress)):
        if finding.error is None:
            rows.append(row)
            found.append(finding)
        else:
            problems.append(f"{finding.image}: {finding.error}")
    if problems:
        told.append(f"{len(problems)} images of {title} cannot be answered; the first: {problems[0]}")
    if not found:
        raise ImageSetError(f"No image of {title} can be answered; {(problems or ['there is none'])[0]}")
    return rows, found


def _shares(findings: Sequence[Finding], names: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities [n, c] that have the findings' classes and confidences; the rest is spread evenly."""
    confidence = np.array([finding.confidence for finding in findings], np.float64)
    shares = np.repeat(((1 - confidence) / (len(names) - 1))[:, None], len(names), axis=1)
    places = [names.index(str(finding.label)) for finding in findings]
    shares[np.arange(len(shares)), places] = confidence
    return shares


def _scores(findings: Sequence[Finding], name: str) -> NDArray[np.float64]:
    return np.array([finding.parts[name] for finding in findings], np.float64)


def _ood_row(
    dataset: str,
    score: str,
    known: NDArray[np.float64],
    unknown: NDArray[np.float64],
    calibration: Calibration,
) -> dict[str, Any]:
    """Figures of raw scores; precision, recall and F1 of finding strangers at the verdict."""
    limit = calibration.threshold.value
    found, false = int((unknown > limit).sum()), int((known > limit).sum())
    return {
        "dataset": dataset,
        "score": score,
        "n": len(unknown),
        **asdict(ood_figures(known, unknown)),
        "precision": found / (found + false) if found + false else None,
        "recall": found / len(unknown),
        "f1": 2 * found / (found + false + len(unknown)),
    }


def _verdicts(score: str, known: NDArray[np.float64], calibration: Calibration) -> dict[str, Any]:
    """How many images of known classes are called none of them."""
    flagged = int((known > calibration.threshold.value).sum())
    rate = clopper_pearson(flagged, len(known))
    policy = calibration.policy
    return {
        "score": score,
        "threshold": calibration.threshold.value,
        "asked": policy.value if policy.kind == "false-alarm-rate" else None,
        "known_flagged": {"count": flagged, "total": len(known), "low": rate.low, "high": rate.high},
    }


def _wrong(tested: ImageSet, rows: Sequence[int], findings: Sequence[Finding]) -> tuple[Wrong, ...]:
    found = [
        Wrong(row, f.image, str(tested[row].class_name), str(f.label), float(f.confidence or 0))
        for row, f in zip(rows, findings, strict=True)
        if f.label != tested[row].class_name
    ]
    return tuple(sorted(found, key=lambda one: -one.confidence))


def _approach(classifier: Classifier) -> list[str]:
    """How the model was made, in sentences."""
    card, detector = classifier.inspector.card, classifier.detector
    settings = card["detector"]["settings"]
    width, height = classifier.inspector.preprocessing.output_size
    return [
        f"{card['data']['n_images']} pictures of {len(detector.classes_)} classes were learnt from, "
        f"prepared at {width} x {height} pixels.",
        f"Features of {settings['backbone']} stay as they are; a {settings['head']} head was trained on "
        "them.",
        f"Confidences are of logits over a temperature of {detector.temperature_:.2f}, which suits pictures "
        "that were left out.",
    ]

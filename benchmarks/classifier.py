"""What the classifier is worth: `python benchmarks/classifier.py`, in about ten minutes on two cores.

Heads on frozen features of the packaged backbone. CIFAR-10 with strangers from other sets, FER2013 at the
preset of the seed project, and splits that speak for or against the default score, which was set after
its figures on CIFAR-10 had been seen: three classes left out of each of CIFAR-10 and FER2013, twelve out
of the groceries. Prints the tables of classifier.md.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

from real_sets import DATA

from anomalens import Classifier
from anomalens.datasets.classes import load_classes, strangers, to_test
from anomalens.detectors.classifier.scores import SCORES
from anomalens.errors import AnomalensWarning
from anomalens.evaluation.classify import evaluate_classifier

NEAR, FAR = "tiny_imagenet_ood", ("dtd_textures_ood", "mnist")
HEADS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {"head": "mlp"},
    "linear, mirror": {"mirror": True},
}


def fitted(name: str, **options: Any) -> tuple[Classifier, float]:
    """A classifier and the seconds that it took."""
    start = time.perf_counter()
    found = Classifier.fit(name, root=DATA, **options)
    return found, time.perf_counter() - start


def tested(classifier: Classifier, name: str, **options: Any) -> dict[str, Any]:
    """The card of a classifier on a set's test part."""
    images = to_test(load_classes(name, root=DATA))
    return evaluate_classifier(classifier, name, images, **options).card


def told(title: str, card: dict[str, Any], seconds: float) -> str:
    """A row of accuracies."""
    flagged = card["known_flagged"]
    rate = f"{flagged['count'] / flagged['total']:.1%} ({flagged['low']:.1%}–{flagged['high']:.1%})"
    figures = f"{card['accuracy']:.3f} | {card['macro_f1']:.3f} | {card['calibration_error']:.3f} | "
    perfect = f"{card['calibration_error_if_perfect']:.3f}"
    return f"| {title} | {figures}{perfect} | {rate} | {seconds:.0f} s |"


def cifar10() -> None:
    """Heads, and the scores of the first."""
    others = {name: strangers(name, root=str(DATA)) for name in (NEAR, *FAR)}
    rows = []
    for title, options in HEADS.items():
        classifier, seconds = fitted("cifar10", **options)
        card = tested(classifier, "cifar10", strangers=others, scores=("vim", *SCORES))
        print(told(f"CIFAR-10, {title}", card, seconds), flush=True)
        if not rows:
            rows = card["ood"]
    for score in SCORES:
        found = {row["dataset"]: row for row in rows if row["score"] == score}
        values = [f"{found[name]['auroc']:.3f}" for name in (NEAR, *FAR)]
        far = sum(found[name]["auroc"] for name in FAR) / len(FAR)
        verdict = [f"{found[NEAR][key]:.3f}" for key in ("fpr95", "precision", "recall", "f1")]
        print(f"| {score} | {' | '.join(values)} | {far:.3f} | {' | '.join(verdict)} |", flush=True)


def emotions() -> None:
    """FER2013, and how often disgust is recognised."""
    for title, options in {"preset emotions": {"preset": "emotions"}, "defaults": {}}.items():
        classifier, seconds = fitted("fer2013", **options)
        card = tested(classifier, "fer2013")
        disgust = next(row for row in card["per_class"] if row["name"] == "disgust")
        print(told(f"FER2013, {title}", card, seconds), f"disgust recall {disgust['recall']:.2f}", flush=True)


def chosen_on() -> None:
    """AUROC of every score where classes were left out."""
    rows: dict[str, list[float]] = {name: [] for name in SCORES}
    for name, every in (("cifar10", 3), ("fer2013", 3), ("grocery_store", 6)):
        names = load_classes(name, root=DATA).class_names
        left = names[1::every]
        classifier, _ = fitted(name, leave_out=left)
        card = tested(classifier, name, scores=tuple(SCORES))
        for row in card["ood"]:
            rows[row["score"]].append(row["auroc"])
    for score, values in sorted(rows.items(), key=lambda item: -sum(item[1])):
        mean = sum(values) / len(values)
        print(f"| {score} | {' | '.join(f'{v:.3f}' for v in values)} | {mean:.3f} |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", AnomalensWarning)
    cifar10()
    emotions()
    chosen_on()

"""Every score of what belongs to no class, with a linear head: `python benchmarks/ood_scores.py`.

One score is chosen where the test sets have no part: on classes left out (near) and on other sets (far), by
the mean of both means. The test is CIFAR-10 against small ImageNet pictures (near), textures and digits
(far). The table is written to `benchmarks/ood_scores.md`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from class_features import Head, Part, read

from anomalens.detectors.classifier.scores import SCORES, load_score
from anomalens.metrics.classification import ood_figures

LEFT_OUT = {
    "cifar10": (("airplane", "automobile"), ("cat", "dog"), ("frog", "ship")),
    "fer2013": (("angry", "disgust"), ("happy", "neutral"), ("sad", "surprise")),
}
OTHERS = {"grocery_store": ("fer2013", "malaria_cells"), "fer2013": ("grocery_store", "malaria_cells")}
TESTS = {"near": ("tiny_imagenet_ood",), "far": ("dtd_textures_ood", "mnist")}
Row = dict[str, float]


def scored(train: Part, known: Part, unknown: dict[str, Part]) -> dict[str, dict[str, tuple[float, float]]]:
    """AUROC and FPR95 by set and score."""
    head, found = Head(train), {name: {} for name in unknown}
    for score in SCORES:
        learnt = load_score(score).learn(head(train.features), head.labels, head.last)
        of_known = learnt.score(head(known.features))
        for name, part in unknown.items():
            figures = ood_figures(of_known, learnt.score(head(part.features)))
            found[name][score] = (figures.auroc, figures.fpr95)
    return found


def left_out(name: str, classes: np.ndarray) -> dict[str, tuple[float, float]]:
    train, test = read(name, "train"), read(name, "test")
    strange = np.isin(test.labels, classes)
    known = train.where(~np.isin(train.labels, classes))
    return scored(known, test.where(~strange), {"left out": test.where(strange)})["left out"]


def near() -> dict[str, Row]:
    """Mean AUROC of each score over three choices of classes to leave out, by set."""
    groceries = np.unique(read("grocery_store", "train").labels)
    rng = np.random.default_rng(0)
    choices = {**LEFT_OUT, "grocery_store": [rng.permutation(groceries)[:20] for _ in range(3)]}
    rows: dict[str, Row] = {}
    for name, several in choices.items():
        found = [left_out(name, np.array(classes)) for classes in several]
        rows[f"{name}, classes left out"] = {s: float(np.mean([one[s][0] for one in found])) for s in SCORES}
    return rows


def far() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for name, others in OTHERS.items():
        found = scored(read(name, "train"), read(name, "test"), {o: read(o, "test") for o in others})
        rows |= {f"{name} / {other}": {s: found[other][s][0] for s in SCORES} for other in others}
    return rows


def table(rows: dict[str, Row]) -> list[str]:
    means = {s: float(np.mean([row[s] for row in rows.values()])) for s in SCORES}
    lines = [f"| score | {' | '.join(rows)} | mean |", "| --- |" + " --: |" * (len(rows) + 1)]
    for score in sorted(SCORES, key=means.__getitem__, reverse=True):
        cells = " | ".join(f"{row[score]:.3f}" for row in rows.values())
        lines.append(f"| {score} | {cells} | {means[score]:.3f} |")
    return [*lines, ""]


def main() -> None:
    nearby, away = near(), far()
    mean = {
        s: float(np.mean([row[s] for row in nearby.values()]) + np.mean([row[s] for row in away.values()]))
        / 2
        for s in SCORES
    }
    ranked = sorted(SCORES, key=mean.__getitem__, reverse=True)
    chosen = ranked[0]
    train, test = read("cifar10", "train"), read("cifar10", "test")
    sets = [name for names in TESTS.values() for name in names]
    tested = scored(train, test, {name: read(name, "test") for name in sets})
    accuracy = np.mean(Head(train).names[Head(train)(test.features).logits.argmax(1)] == test.labels)
    lines = [
        "# Scores of what belongs to no class", "",
        "`python benchmarks/ood_scores.py`. AUROC; a linear head on features of the packaged backbone.", "",
        "## Where the score is chosen: classes left out (near)", "", *table(nearby),
        "## Where the score is chosen: other sets (far)", "", *table(away),
        f"Chosen by the mean of both means: **{chosen}** ({mean[chosen]:.3f}; next: "
        + ", ".join(f"{s} {mean[s]:.3f}" for s in ranked[1:4]) + ").",
        "", f"## Test: CIFAR-10 (5,000 pictures to learn from, accuracy {accuracy:.3f})", "",
        *table({name: {s: tested[name][s][0] for s in SCORES} for name in sets}),
        f"FPR95 of {chosen}: "
        + ", ".join(f"{name} {tested[name][chosen][1]:.3f}" for name in sets)
        + ". The backbone's ImageNet weights have seen the classes of `tiny_imagenet_ood`.", "",
    ]  # fmt: skip
    Path(__file__).with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

"""How many of 5 % flipped labels are among the 5 % most doubted: `python benchmarks/label_doubts.py`.

Labels are flipped to any other class, or each to the next one; probabilities are out of fold, of a linear
head on frozen features. The table is written to `benchmarks/label_doubts.md`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from class_features import Head, Part, read
from scipy.special import softmax

from anomalens.metrics.label_doubts import label_doubts

SETS = ("cifar10", "mnist", "fer2013", "grocery_store")
SHARE, FOLDS, SEEDS = 0.05, 5, 3


def out_of_fold(features: np.ndarray, labels: np.ndarray, n_classes: int, seed: int) -> np.ndarray:
    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    shares = np.zeros((len(labels), n_classes))
    for i in range(FOLDS):
        head = Head(Part(features[fold != i], labels[fold != i]))
        shares[np.ix_(fold == i, head.names)] = softmax(
            head(features[fold == i]).logits.astype(float), axis=1
        )
    return shares / shares.sum(axis=1, keepdims=True)


def confident_learning(labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Doubt by pruning as the noise rates of the confident joint say, then by the own class' probability."""
    n, c = shares.shape
    usual = np.array([shares[labels == k, k].mean() for k in range(c)])
    above = np.where(shares >= usual, shares, -1)
    sure = (above >= 0).any(axis=1)
    joint = np.zeros((c, c))
    np.add.at(joint, (labels[sure], above.argmax(axis=1)[sure]), 1)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    joint *= (np.bincount(labels, minlength=c) / joint.sum(axis=1))[:, None]
    pruned = np.zeros(n)
    for i in range(c):
        rows = np.flatnonzero(labels == i)
        for j in range(c):
            if i != j:
                margin = shares[rows, j] - shares[rows, i]
                pruned[rows[np.argsort(-margin)[: round(joint[i, j])]]] = 1
    return 2 * pruned - shares[np.arange(n), labels]


def measures(labels: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
    """Rows by measure, most doubted first."""
    rows = np.arange(len(labels))
    own, others = shares[rows, labels], shares.copy()
    others[rows, labels] = -1
    return {
        "log margin (used)": label_doubts(labels, shares).rows,
        "own probability": np.argsort(own, kind="stable"),
        "confident learning": np.argsort(-confident_learning(labels, shares), kind="stable"),
        "margin": np.argsort(own - others.max(axis=1), kind="stable"),
    }


def main() -> None:
    lines = [
        "# Labels in doubt", "",
        "`python benchmarks/label_doubts.py`: 5 % of the labels are flipped. Of the 5 % most doubted this",
        f"share are flipped ones (in brackets: of the 1 % most doubted); means of {SEEDS} seeds. Labels that",
        "were wrong before are not counted as finds.", "",
    ]  # fmt: skip
    for name in SETS:
        part = read(name, "train")
        _, true = np.unique(part.labels, return_inverse=True)
        enough = np.bincount(true)[true] >= 10
        features, true = part.features[enough], np.unique(true[enough], return_inverse=True)[1]
        c, m = int(true.max()) + 1, round(SHARE * len(true))
        for kind in ("any other class", "the next class"):
            found: dict[str, list[tuple[float, float]]] = {}
            for seed in range(SEEDS):
                rng = np.random.default_rng(seed)
                flipped = rng.permutation(len(true))[:m]
                given = true.copy()
                given[flipped] += rng.integers(1, c, m) if kind == "any other class" else 1
                given %= c
                for measure, rows in measures(given, out_of_fold(features, given, c, seed)).items():
                    hit = np.isin(rows, flipped)
                    found.setdefault(measure, []).append((hit[:m].mean(), hit[: m // 5].mean()))
            if not any(line.startswith("| set") for line in lines):
                lines += [
                    f"| set | flipped to | {' | '.join(found)} |",
                    "| --- | --- |" + " --: |" * len(found),
                ]
            cells = (
                f"{np.mean(one, axis=0)[0]:.3f} ({np.mean(one, axis=0)[1]:.3f})" for one in found.values()
            )
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    Path(__file__).with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

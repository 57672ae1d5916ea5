"""How magnetic tiles are split: `python benchmarks/tile_splits.py` writes tile_splits.md beside this file.

Each tile was photographed under several exposures. Published figures split the good pictures at random, so
that most tested ones have a twin among those that were learnt from. The development set keeps all pictures of
a tile on one side. Both splits are measured on the same pictures, with everything else the same.
"""

from __future__ import annotations

import statistics
import warnings
from pathlib import Path

import numpy as np
from real_sets import DATA

from anomalens import ImageSet, Inspector
from anomalens.errors import AnomalensWarning
from anomalens.evaluation.metrics import image_auroc
from anomalens.images.image_set import ImageEntry

PAGE = Path(__file__).with_suffix(".md")
SET = DATA / "magnetic_tile"
SEEDS = (0, 1, 2)


def entries(folder: Path) -> list[ImageEntry]:
    label = folder.name
    return [ImageEntry(file.name, file, label=label) for file in sorted(folder.glob("*.jpg"))]


def image_level(train: list[ImageEntry], test: list[ImageEntry], detector: str, seed: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        inspector = Inspector.fit(ImageSet(tuple(train), "tiles"), detector=detector, seed=seed)
        findings = list(inspector.check(ImageSet(tuple(test), "tiles")))
    wrong = np.array([entry.label != "good" for entry in test])
    return image_auroc(np.array([finding.score for finding in findings]), wrong)


def row(split: str, n_train: int, n_good: int, detector: str, found: list[float]) -> str:
    mean, each = statistics.mean(found), ", ".join(f"{one:.3f}" for one in found)
    print(f"{split}: {detector} {each}", flush=True)
    return f"| {split} | {n_train} / {n_good} | {detector} | {mean:.3f} | {each} |"


def main() -> None:
    learnt, kept = entries(SET / "train" / "good"), entries(SET / "test" / "good")
    folders = sorted(folder for folder in (SET / "test").iterdir() if folder.name != "good")
    defects = [entry for folder in folders for entry in entries(folder)]
    rows = []
    for detector in ("patchcore", "auto"):
        found = [image_level(learnt, kept + defects, detector, seed) for seed in SEEDS]
        rows.append(row("by tile", len(learnt), len(kept), detector, found))
        found = []
        good = learnt + kept
        n = len(learnt)
        for seed in SEEDS:
            order = [good[i] for i in np.random.default_rng(seed).permutation(len(good))]
            found.append(image_level(order[:n], order[n:] + defects, detector, seed))
        rows.append(row("at random", n, len(good) - n, detector, found))
    PAGE.write_text(
        "# Magnetic tiles: what the split decides\n\n"
        f"Image AUROC with {len(defects)} defects, 256 px, defaults, seeds {', '.join(map(str, SEEDS))} "
        "(of the random split too). By tile, all exposures of a tile are either learnt from or tested, as "
        "for parts that come new; at random, most tested good pictures have another exposure of the same "
        "tile among the normal ones. `python benchmarks/tile_splits.py` writes this page.\n\n"
        "| split | train / good tested | detector | mean | each seed |\n| --- | --- | --- | --: | --- |\n"
        + "\n".join(rows)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

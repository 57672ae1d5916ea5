"""How magnetic tiles are split: `python benchmarks/tile_splits.py` writes tile_splits.md beside this file.

Each tile was photographed under several exposures. Split at random, as in the training list that DifferNet's
authors publish, most tested good pictures have another exposure of the same tile among those that were learnt
from. The development set keeps all pictures of a tile on one side. Both splits are measured on the same
pictures, with everything else the same.
"""

from __future__ import annotations

import statistics
import warnings
from pathlib import Path

import numpy as np
from opening import opening
from real_sets import DATA

from anomalens import ImageSet, Inspector
from anomalens.errors import AnomalensWarning
from anomalens.images.image_entry import ImageEntry
from anomalens.images.labels import of_kind
from anomalens.metrics.ranking import image_auroc

PAGE = Path(__file__).with_suffix(".md")
SET = DATA / "magnetic_tile"
SEEDS = (0, 1, 2)
APART = 50  # captures of one tile follow each other by no more than this


def entries(folder: Path) -> list[ImageEntry]:
    known = of_kind(folder.name)
    return [ImageEntry(file.name, file, *known) for file in sorted(folder.glob("*.jpg"))]


def shared(learnt: list[ImageEntry], tested: list[ImageEntry]) -> float:
    """The share of the tested pictures whose tile was learnt from under another exposure."""
    numbers = sorted(capture(entry) for entry in [*learnt, *tested])
    tile = dict(zip(numbers, np.cumsum(np.diff(numbers, prepend=numbers[0]) > APART).tolist(), strict=True))
    known = {tile[capture(entry)] for entry in learnt}
    return sum(tile[capture(entry)] in known for entry in tested) / len(tested)


def capture(entry: ImageEntry) -> int:
    return int(Path(entry.id).stem.rsplit("_", 1)[1])  # exp3_num_306622.jpg


def image_level(train: list[ImageEntry], test: list[ImageEntry], detector: str, seed: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        inspector = Inspector.fit(ImageSet(tuple(train), "tiles"), detector=detector, seed=seed)
        findings = list(inspector.check(ImageSet(tuple(test), "tiles")))
    wrong = np.array([entry.label != "good" for entry in test])
    return image_auroc(np.array([finding.score for finding in findings]), wrong)


def row(split: str, n_train: int, n_good: int, twins: float, detector: str, found: list[float]) -> str:
    mean, each = statistics.mean(found), ", ".join(f"{one:.3f}" for one in found)
    print(f"{split}: {detector} {each}", flush=True)
    return f"| {split} | {n_train} / {n_good} | {twins:.2f} | {detector} | {mean:.3f} | {each} |"


def main() -> None:
    learnt, kept = entries(SET / "train" / "good"), entries(SET / "test" / "good")
    folders = sorted(folder for folder in (SET / "test").iterdir() if folder.name != "good")
    defects = [entry for folder in folders for entry in entries(folder)]
    rows = []
    for detector in ("patchcore", "auto"):
        found = [image_level(learnt, kept + defects, detector, seed) for seed in SEEDS]
        rows.append(row("by tile", len(learnt), len(kept), shared(learnt, kept), detector, found))
        found, twins = [], []
        good = learnt + kept
        n = len(learnt)
        for seed in SEEDS:
            order = [good[i] for i in np.random.default_rng(seed).permutation(len(good))]
            twins.append(shared(order[:n], order[n:]))
            found.append(image_level(order[:n], order[n:] + defects, detector, seed))
        rows.append(row("at random", n, len(good) - n, statistics.mean(twins), detector, found))
    PAGE.write_text(
        f"# Magnetic tiles: what the split decides\n\n{opening(PAGE)}\n\n"
        f"Image AUROC with {len(defects)} defects, 256 px, defaults, seeds {', '.join(map(str, SEEDS))} "
        "(of the random split too). By tile, all exposures of a tile are either learnt from or tested, as "
        "for parts that come new; at random, most tested good pictures have another exposure of the same "
        "tile among the normal ones (their share, by capture numbers, is in the third column). `python "
        "benchmarks/tile_splits.py` writes this page.\n\n"
        "| split | train / good tested | twins learnt | detector | mean | each seed |\n"
        "| --- | --- | --: | --- | --: | --- |\n" + "\n".join(rows) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

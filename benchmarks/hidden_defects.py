"""Defects among the normal images: `python benchmarks/hidden_defects.py` writes hidden_defects.md beside it.

Nobody looks at every picture of a folder of normal ones. Some defects of the test part are hidden there, a
twentieth or a tenth of all, and tested on no more; every detector learns from the same folder.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from pathlib import Path

import numpy as np
from real_sets import DATA, folder

from anomalens import ImageSet, Inspector
from anomalens.errors import AnomalensWarning
from anomalens.evaluation.metrics import image_auroc

PAGE = Path(__file__).with_suffix(".md")
SETS = (
    "mvtec_transistor",
    "casting_impeller",
    "magnetic_tile",
    "brick_cracks",
    "paper_piped/bdp01_tl",
    "paper_piped/brg03_tl",
)
DETECTORS = ("auto", "patchcore", "softpatch")
SHARES = (0.0, 0.05, 0.1)
MOST = 160  # images that are learnt from, and that are tested, so that it ends within half an hour


def figures(train: ImageSet, test: ImageSet, detector: str) -> tuple[float, float]:
    """Image AUROC, and the share of defects that is called one at one false alarm in twenty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        inspector = Inspector.fit(train, detector=detector, policy="false-alarm-rate=0.05")
        findings = list(inspector.check(test))
    wrong = np.array([entry.label != "good" for entry in test])
    found = np.array([finding.anomalous for finding in findings])
    return image_auroc(np.array([finding.score for finding in findings]), wrong), float(found[wrong].mean())


def measured(name: str) -> dict[str, list[tuple[float, float]]]:
    """Both figures of each detector, one pair for each share of hidden defects."""
    data = folder(name)
    rng = np.random.default_rng(0)
    train = rng.permutation(len(data.train))[:MOST].tolist()
    order = rng.permutation(len(data.test)).tolist()
    defects = [i for i in order if data.test[i].label != "good"]
    most = min(round(SHARES[-1] * len(train) / (1 - SHARES[-1])), len(defects) // 2)
    kept = [i for i in order if i not in set(defects[:most])][:MOST]
    found: dict[str, list[tuple[float, float]]] = {detector: [] for detector in DETECTORS}
    for share in SHARES:
        hidden = defects[: min(most, round(share * len(train) / (1 - share)))]
        learnt = ImageSet.concatenate([data.train.subset(train), data.test.subset(hidden)])
        for detector in DETECTORS:
            found[detector].append(figures(learnt, data.test.subset(kept), detector))
            print(name, share, detector, found[detector][-1], flush=True)
    return found


def row(name: str, found: dict[str, list[tuple[float, float]]], place: int, digits: int) -> str:
    cells = [" → ".join(f"{pair[place]:.{digits}f}" for pair in found[detector]) for detector in DETECTORS]
    return f"| {name} | " + " | ".join(cells) + " |"


def table(results: dict[str, dict[str, list[tuple[float, float]]]], place: int, digits: int) -> str:
    mean = {
        detector: [
            tuple(statistics.mean(found[detector][i][p] for found in results.values()) for p in range(2))
            for i in range(len(SHARES))
        ]
        for detector in DETECTORS
    }
    rows = [row(name, found, place, digits) for name, found in results.items()]
    return "\n".join(
        [
            "| set | " + " | ".join(DETECTORS) + " |",
            "| --- |" + " --: |" * len(DETECTORS),
            *rows,
            row("mean", mean, place, digits),
        ]
    )


def main() -> None:
    results = {name: measured(name) for name in sys.argv[1:] or SETS if (DATA / name).exists()}
    PAGE.write_text(
        "# Defects among the normal images\n\n"
        f"Figures for {' → '.join(f'{share:.0%}' for share in SHARES)} of the normal folder being defects: "
        f"up to {MOST} normal images with defects of the test part among them, which are then not tested; "
        "256 px, defaults, seed 0. `python benchmarks/hidden_defects.py` writes this page.\n\n"
        f"## Image AUROC\n\n{table(results, 0, 3)}\n\n"
        "## Share of defects that are called one, where one false alarm in twenty was asked\n\n"
        f"{table(results, 1, 2)}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

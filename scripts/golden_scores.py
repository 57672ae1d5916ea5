"""Scores of every detector, to be compared before and after a change that must not move any.

    python scripts/golden_scores.py before.json      on made images, and on real ones where they are
    python scripts/golden_scores.py after.json --against before.json
    python scripts/golden_scores.py after.json --against before.json --only auto,padim

Fits each detector with the packaged backbone and few epochs, and writes its scores, its calibration scores
and its threshold. With --against it prints the largest relative difference of each, and ends with 1 where one
is above 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomalens import ImageSet, Inspector
from anomalens.detectors.checks import TexturedImages, painted
from anomalens.errors import AnomalensWarning

DATA: Final = Path(os.environ.get("ANOMALENS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TINY: Final = {"epochs": 2, "batch_size": 8}
DETECTORS: Final[dict[str, dict[str, Any]]] = {
    "auto": {}, "patchcore": {}, "padim": {}, "spade": {}, "dictionary": {}, "template": {},
    "texture-patches": {}, "tiled:patchcore": {}, "gaussian": {}, "knn": {}, "kde": {}, "gmm": {}, "pca": {},
    "ocsvm": {}, "iforest": {}, "lof": {}, "combine:knn,gaussian": {}, "flow": {"epochs": 2},
    "fastflow": TINY, "simplenet": TINY, "student-teacher": TINY, "rotnet": TINY, "cutpaste": TINY,
    "deep-svdd": {**TINY, "pretraining": 1, "members": 1},
    "cae": TINY, "cae-kde": TINY, "vae": TINY, "vae-gan": TINY, "ganomaly": TINY,
    "f-anogan": {**TINY, "gan_steps": 4},
}  # fmt: skip
TOLERANCE: Final = 1e-6


def made_images() -> tuple[list[Any], list[Any]]:
    """Twenty-four striped images to learn from; four more, and the same with a painted square."""
    fresh = list(TexturedImages.make(4, (96, 128), seed=1))
    return list(TexturedImages.make(24, (96, 128), seed=0)), [*fresh, *(painted(image)[0] for image in fresh)]


def real_images() -> tuple[list[Any], list[Any]] | None:
    """Eighty transistors to learn from, ten good and ten bent ones to check."""
    root = DATA / "mvtec_transistor"
    if not root.is_dir():
        return None
    folders = (root / "train/good", root / "test/good", root / "test/bent_lead")
    some = [sorted(folder.iterdir())[:count] for folder, count in zip(folders, (80, 10, 10), strict=True)]
    return some[0], [*some[1], *some[2]]


def scores_of(detector: str, parameters: dict[str, Any], train: list[Any], test: list[Any]) -> dict[str, Any]:
    """What a fit and a check give."""
    references: list[Any] | None = None
    asked: list[Any] | None = None
    if detector == "template":
        references, asked = [train[0]] * len(train), [train[0]] * len(test)
    tiles = {"tile": 64, "overlap": 16} if detector.startswith("tiled") else {}
    inspector = Inspector.fit(
        ImageSet.open(train),
        references=references,
        detector=detector,
        parameters=parameters,
        size=(128, 96),
        runtime="onnxruntime",
        threads=1,
        **tiles,
    )
    findings = list(inspector.check(test, references=asked))
    return {
        "scores": [finding.score for finding in findings],
        "maps": [None if f.map is None else float(np.abs(f.map).mean()) for f in findings],
        "calibration": inspector.calibration.scores.tolist(),
        "threshold": inspector.calibration.threshold.value,
    }


def difference(before: dict[str, Any], now: dict[str, Any]) -> float:
    """The largest relative difference of any number."""
    worst = 0.0
    for key in before:
        a, b = (np.array(np.atleast_1d(one[key]), np.float64) for one in (before, now))
        if a.shape != b.shape:
            return float("inf")
        scale = max(float(np.nanmax(np.abs(a))), 1e-12) if np.isfinite(a).any() else 1.0
        worst = max(worst, float(np.nanmax(np.abs(a - b) / scale)) if np.isfinite(a - b).any() else 0.0)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description="Golden scores of every detector.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore", AnomalensWarning)
    sets = {"made": made_images(), "transistor": real_images()}
    found: dict[str, Any] = {}
    known = json.loads(options.against.read_text()) if options.against else {}
    code = 0
    for detector, parameters in DETECTORS.items():
        if options.only and detector not in options.only.split(","):
            continue
        for name, images in sets.items():
            if images is None:
                continue
            key = f"{detector} on {name}"
            found[key] = scores_of(detector, parameters, *images)
            apart = difference(known[key], found[key]) if key in known else None
            print(
                key, "" if apart is None else f"{apart:.1e}", "MOVED" if apart and apart > TOLERANCE else ""
            )
            code |= bool(apart and apart > TOLERANCE)
            options.out.write_text(json.dumps(found, indent=1) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())

"""What shape and size of the prepared images are worth: `python benchmarks/shapes.py` writes shapes.md.

`auto` on the sets whose pictures are not squares of 256 px, cut to 160 normal images and 60 test images of
each kind: squeezed into 256 x 256 pixels, and at the sizes of `--quality`. Maps are compared at one size.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from auto_constants import cut
from PIL import Image
from real_sets import SETS, RealSet, folder

from anomalens import Inspector
from anomalens.errors import AnomalensWarning
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.ranking import image_auroc

PAGE, FIGURES = Path(__file__).with_suffix(".md"), Path(__file__).with_suffix(".json")
FOLDERS = ("cookies_cracked", "ball_screw_pitting", "solar_el_rgba")
NAMED = ("mvtec_loco_juice_bottle", "magnetic_tile", "brain_mri", "ucsd_ped2", "deeppcb/00041")
WAYS: dict[str, dict[str, Any]] = {
    "256 x 256": {"size": 256},
    "fast": {"quality": "fast"},
    "balanced": {"quality": "balanced"},
    "best": {"quality": "best"},
}
COMPARED = (256, 256)  # every map and mask is brought to this size


def measured(data: RealSet, options: dict[str, Any]) -> dict[str, Any]:
    """Image AUROC, AUPRO where there are masks, size, and milliseconds of a check."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        inspector = Inspector.fit(data.train, detector="auto", threads=1, **options)
        begun = time.perf_counter()
        findings = list(inspector.check(data.test, workers=1))
    taken = 1000 * (time.perf_counter() - begun) / len(findings)
    wrong = np.array([entry.verdict != "normal" for entry in data.test])
    pairs = []
    for entry, finding in zip(data.test, findings, strict=True):
        values = np.asarray(Image.fromarray(finding.map).resize(COMPARED, Image.BILINEAR))
        if entry.verdict == "normal":
            pairs.append((values, None))
        elif entry.mask is not None:
            mask = np.asarray(Image.open(entry.mask).convert("L").resize(COMPARED, Image.NEAREST)) > 0
            if mask.any():
                pairs.append((values, mask))
    height, width = inspector.size
    found = {
        "auroc": image_auroc(np.array([finding.score for finding in findings]), wrong),
        "size": f"{width}x{height}",
        "ms": taken,
    }
    if any(mask is not None for _, mask in pairs):
        found["aupro"] = pixel_figures(pairs).aupro
    return found


def table(found: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """A row for each set: image AUROC / AUPRO, size and time of each way."""
    lines = [
        "| set (pictures) | " + " | ".join(f"{way}: AUROC / AUPRO, size, time" for way in WAYS) + " |",
        "| --- |" + " --- |" * len(WAYS),
    ]
    for name, by in found.items():
        cells = []
        for way in WAYS:
            one = by[way]
            overlap = f"{one['aupro']:.3f}" if "aupro" in one else "-"
            times = one["ms"] / by["256 x 256"]["ms"]
            cells.append(f"{one['auroc']:.3f} / {overlap}, {one['size']}, {times:.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    means = []
    for way in WAYS:
        overlaps = [by[way]["aupro"] for by in found.values() if "aupro" in by[way]]
        times = statistics.mean(by[way]["ms"] / by["256 x 256"]["ms"] for by in found.values())
        rank = statistics.mean(by[way]["auroc"] for by in found.values())
        means.append(f"**{rank:.3f} / {statistics.mean(overlaps):.3f}**, {times:.1f}")
    return [*lines, "| **mean** | " + " | ".join(means) + " |"]


def main() -> None:
    found = json.loads(FIGURES.read_text()) if FIGURES.exists() and "--again" not in sys.argv else {}
    for name in (*NAMED, *FOLDERS):
        data = cut(SETS[name]() if name in SETS else folder(name))
        for way, options in WAYS.items():
            by = found.setdefault(name, {})
            if way not in by:
                by[way] = measured(data, options)
                FIGURES.write_text(json.dumps(found, indent=1) + "\n")
                print(name, way, by[way], flush=True)
    old = PAGE.read_text() if PAGE.exists() else "# Shapes and sizes\n\n"
    opening, _, _ = old.partition("<!-- measured -->")
    PAGE.write_text(opening.rstrip() + "\n\n<!-- measured -->\n\n" + "\n".join(table(found)) + "\n")


if __name__ == "__main__":
    main()

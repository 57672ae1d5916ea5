"""What 100 to 100,000 normal images cost: writes normal_images_scale.json and .md beside this file.

python benchmarks/normal_images_scale.py                    all counts and detectors
    --detector patchcore    only these detectors (repeat)   --count 1000   only these counts (repeat)

The images are crops of the normal photographs of the development sets, as JPEG files of 128 pixels. Every
fit runs in a process of its own; rows that are not asked for are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from opening import opening
from PIL import Image
from real_sets import DATA

from anomalens import Inspector
from anomalens.evaluation.memory import peak_mb, start_peak
from anomalens.images import normal_images

HERE: Final = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "normal_images_scale.json", HERE / "normal_images_scale.md"
FOLDERS: Final = (
    "paper_piped/*/train/good",
    "paper_piped/*/test/good",
    "brick_cracks/train/good",
    "magnetic_tile/train/good",
)
COUNTS: Final = (100, 1000, 10_000, 100_000)
DETECTORS: Final = ("patchcore", "auto")
NEW: Final = 300
SIDE: Final = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--detector", action="append")
    parser.add_argument("--count", action="append", type=int)
    parser.add_argument("--one", nargs=2, metavar=("DETECTOR", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(fit_one(asked.one[0], Path(asked.one[1]))))
        return
    photographs = [path for pattern in FOLDERS for path in sorted(DATA.glob(f"{pattern}/*"))]
    if not photographs:
        sys.exit(f"There are no photographs in {DATA.name}; set ANOMALENS_DATA to the folder they are in.")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for count in asked.count or COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            write(crops(photographs, count, seed=0), Path(folder) / "normal")
            write(crops(photographs, NEW, seed=1), Path(folder) / "new")
            for detector in asked.detector or DETECTORS:
                words = [sys.executable, __file__, "--one", detector, folder]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                row = json.loads(done.stdout.splitlines()[-1])
                print(detector, count, row, flush=True)
                results.setdefault(detector, {})[str(count)] = row
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
                PAGE.write_text(page(results), encoding="utf-8")


def crops(photographs: list[Path], count: int, *, seed: int) -> Iterator[np.ndarray]:
    """Random places of the photographs, one after the other, mirrored at random: uint8 [128, 128, 3]."""
    rng = np.random.default_rng(seed)
    for turn in range(len(photographs)):
        image = np.asarray(Image.open(photographs[turn]).convert("RGB"))
        if min(image.shape[:2]) < SIDE:
            continue
        for _ in range(turn, count, len(photographs)):
            top, left = (int(rng.integers(side - SIDE + 1)) for side in image.shape[:2])
            yield image[top : top + SIDE, left : left + SIDE][:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def write(images: Iterator[np.ndarray], folder: Path) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{number:06d}.jpg", quality=90)


def fit_one(detector: str, folder: Path) -> dict[str, Any]:
    """Fit to the crops, and check new ones one at a time."""
    warnings.simplefilter("ignore")
    images = normal_images(folder / "normal")
    start_peak()
    start, cpu = time.perf_counter(), time.process_time()
    inspector = Inspector.fit(images, detector=detector, size=SIDE)
    row = {
        "images": len(images),
        "fit_seconds": round(time.perf_counter() - start, 1),
        "fit_cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mb": round(peak_mb()),
        "model_mb": round(inspector.save(folder / "model.anomalens").stat().st_size / 1e6, 1),
    }
    seconds, flagged = [], []
    for path in sorted((folder / "new").iterdir()):
        image = np.asarray(Image.open(path))
        start = time.perf_counter()
        (finding,) = inspector.check([image])
        seconds.append(time.perf_counter() - start)
        flagged.append(finding.anomalous)
    times = {"ms": round(1000 * float(np.median(seconds)), 2)}
    return {**row, **times, "flagged": round(float(np.mean(flagged)), 3)}


def page(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# What more normal images cost",
        "",
        opening(PAGE),
        "",
        f"`python benchmarks/normal_images_scale.py` wrote this page; machine: {platform.machine()}, "
        f"{os.cpu_count()} cores, on which other work may run. Normal images are crops of {SIDE} pixels from "
        "the normal photographs of papers, bricks and magnetic tiles, as JPEG files. A check is from the "
        f"array to the verdict with its map, one image at a time, median of {NEW} new crops; flagged is "
        "their share at the default rate of 0.01. The bank keeps 1 % of the patches, 1,000 at least and "
        "10,000 at most: beyond that an image costs no more, however many were learnt from. Rows may be of "
        "different runs, with different other work: compare processor time and memory, not milliseconds.",
    ]
    for detector, rows in results.items():
        lines += [
            "",
            f"## {detector}",
            "",
            "| normal images | fit, s | cpu, s | peak MB | model MB | check, ms | flagged |",
            "| --: | --: | --: | --: | --: | --: | --: |",
        ]
        for count in sorted(rows, key=int):
            r = rows[count]
            lines.append(
                f"| {r['images']:,} | {r['fit_seconds']:,} | {r['fit_cpu_seconds']:,} | {r['peak_mb']:,} "
                f"| {r['model_mb']} | {r['ms']} | {r['flagged']} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

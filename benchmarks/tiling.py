"""Tiling, measured: images of 12 megapixels, whole at 256 and 1024 px and cut into tiles of 256 px.

python benchmarks/tiling.py           writes tiling.json and tiling.md beside this file
python benchmarks/tiling.py paper     one of the surfaces (rows of others are kept)

The images are mosaics of crops from photographs of one surface. Each mosaic has normal photographs of its
own, so no two share one. An anomalous one has one crop with a small fault at a random place: some ten pixels
across, a hundred thousandth of the image.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from opening import opening
from PIL import Image
from real_sets import DATA

from anomalens import Inspector
from anomalens.evaluation.ground_truth import mask_on_map, visible_map
from anomalens.images import labelled_images, recognise
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.ranking import image_auroc

HERE: Final = Path(__file__).resolve().parent
PAGE: Final = HERE / "tiling.md"
RESULTS: Final = HERE / "tiling.json"
HEIGHT, WIDTH = 3000, 4000


@dataclass(frozen=True)
class Surface:
    """Where the photographs are, which faults they show, and the side of the crops."""

    folder: str
    fault: str
    cell: int
    note: str


SURFACES: Final = {
    "paper": Surface("paper_piped/bdp01_tl", "impurity", 125, "one kind of paper, even"),
    "magnetic tiles": Surface("magnetic_tile", "blowhole", 200, "many exposures, stains, edges"),
}
TRAIN, NORMAL, ANOMALOUS = 4, 5, 8
DETECTOR: Final = "patchcore"
MAX_BANK: Final = 2000
WAYS: Final[dict[str, dict[str, Any]]] = {
    "tiles of 256 px": {"detector": DETECTOR, "tile": 256},
    "whole, 256 px": {"detector": DETECTOR, "size": 256},
    "whole, 1024×768 px": {"detector": DETECTOR, "size": (1024, 768)},
}
CHECK: Final = (
    "import sys\nfrom anomalens.cli.main import run\nrun(sys.argv[1:])\n"
    "print(open('/proc/self/status').read(), file=sys.stderr)"
)


def main() -> None:
    if sys.argv[1:] and sys.argv[1] in WAYS:
        one_way(*sys.argv[1:])
        return
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in sys.argv[1:] or SURFACES:
        surface = SURFACES[name]
        if not (DATA / surface.folder).is_dir():
            sys.exit(
                f"There is no {surface.folder} in {DATA.name}; set ANOMALENS_DATA to the folder it is in."
            )
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "mosaics"
            areas = build(surface, data)
            rows = {}
            for way in WAYS:
                print(name, way, flush=True)
                rows[way] = measured(data, Path(folder) / "model", way)
                results[name] = {"areas": areas, "rows": rows}
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
                PAGE.write_text(page(results), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def build(surface: Surface, data: Path) -> list[int]:
    """Write the mosaics as a data set; returns the faults' areas in pixels."""
    rng = np.random.default_rng(0)
    source, cell = DATA / surface.folder, surface.cell
    train = list(shares(source / "train" / "good", TRAIN, cell, rng))
    test = list(shares(source / "test" / "good", NORMAL + ANOMALOUS, cell, rng))
    faults = crops_with_faults(source, surface, rng)
    for number, share in enumerate(train):
        save(mosaic(share, cell, rng), data / "train" / "good" / f"{number:02d}.jpg")
    for number, share in enumerate(test[:NORMAL]):
        save(mosaic(share, cell, rng), data / "test" / "good" / f"{number:02d}.jpg")
    areas = []
    for number, share in enumerate(test[NORMAL:]):
        image, mask = mosaic(share, cell, rng), np.zeros((HEIGHT, WIDTH), bool)
        picture, marked = next(faults)
        y, x = (int(rng.integers(side // cell)) * cell for side in (HEIGHT, WIDTH))
        image[y : y + cell, x : x + cell], mask[y : y + cell, x : x + cell] = picture, marked
        areas.append(int(marked.sum()))
        save(image, data / "test" / "fault" / f"{number:02d}.jpg")
        save(mask, data / "ground_truth" / "fault" / f"{number:02d}_mask.png")
    return areas


def shares(folder: Path, count: int, cell: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """The photographs that are large enough, dealt out: each goes to one mosaic."""
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    large = [picture for picture in pictures if min(picture.shape[:2]) >= cell]
    order = rng.permutation(len(large))
    for place in range(count):
        yield [large[i] for i in order[place::count]]


def crops_with_faults(
    source: Path, surface: Surface, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Crops that hold a whole fault, and their masks."""
    cell = surface.cell
    paths = sorted((source / "test" / surface.fault).iterdir())
    for number in rng.permutation(len(paths)):
        path = paths[number]
        masks = source / "ground_truth" / surface.fault
        mask = np.asarray(Image.open(masks / f"{path.stem}_mask.png")) > 0
        y, x = np.nonzero(mask)
        if min(mask.shape) < cell or np.ptp(y) >= cell or np.ptp(x) >= cell:
            continue
        top, left = (
            int(rng.integers(max(0, at.max() + 1 - cell), min(at.min(), side - cell) + 1))
            for at, side in ((y, mask.shape[0]), (x, mask.shape[1]))
        )
        part = np.s_[top : top + cell, left : left + cell]
        yield np.asarray(Image.open(path).convert("RGB"))[part], mask[part]


def mosaic(pictures: Sequence[np.ndarray], cell: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 [3000, 4000, 3]: crops at random places, mirrored at random."""
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    columns = WIDTH // cell
    for number in range(HEIGHT // cell * columns):
        picture = pictures[number % len(pictures)]
        top, left = (int(rng.integers(side - cell + 1)) for side in picture.shape[:2])
        crop = picture[top : top + cell, left : left + cell]
        flips = rng.choice([-1, 1], 2)
        y, x = divmod(number, columns)
        image[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell] = crop[:: flips[0], :: flips[1]]
    return image


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **({"quality": 92} if path.suffix == ".jpg" else {}))


def measured(data: Path, place: Path, way: str) -> dict[str, Any]:
    """One way, in processes of its own: one fits and scores the test images, one checks four of them."""
    model, row = place.with_suffix(".anomalens"), place.with_suffix(".json")
    done = subprocess.run([sys.executable, __file__, way, str(data), str(model), str(row)], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    images = [str(path) for path in sorted((data / "test" / "good").iterdir())[:4]]
    check = subprocess.run(
        [sys.executable, "-c", CHECK, "check", str(model), *images],
        capture_output=True,
        text=True,
        check=False,
    )
    return {**json.loads(row.read_text()), "check_mb": peak_mb(check.stderr)}


def one_way(way: str, data: str, model: str, row: str) -> None:
    """Fit, score every test image, and write what came out."""
    warnings.simplefilter("ignore")
    start, cpu_start = time.perf_counter(), time.process_time()
    inspector = Inspector.fit(data, parameters={"max_bank": MAX_BANK}, **WAYS[way])
    fit_seconds, fit_cpu = time.perf_counter() - start, time.process_time() - cpu_start
    fit_mb = peak_mb(Path("/proc/self/status").read_text())
    inspector.save(model)
    seconds, cpu, scores, labels, maps = [], [], [], [], []
    for entry in labelled_images(recognise(data)):
        start, cpu_start = time.perf_counter(), time.process_time()
        (finding,) = inspector.check(entry.file)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
        scores.append(finding.score)
        labels.append(entry.label != "good")
        maps.append((visible_map(finding), mask_on_map(entry, finding) if labels[-1] else None))
    found = {
        "image_auroc": image_auroc(np.array(scores), np.array(labels)),
        "aupro": pixel_figures(maps).aupro,
        "seconds": float(np.median(seconds)),
        "cpu_seconds": float(np.median(cpu)),
        "fit_seconds": fit_seconds,
        "fit_cpu_seconds": fit_cpu,
        "fit_mb": fit_mb,
    }
    Path(row).write_text(json.dumps(found))


def peak_mb(status: str) -> float:
    """Peak resident memory in MB from what Linux says of a process."""
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found else float("nan")


def page(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Tiling, measured",
        "",
        opening(PAGE),
        "",
        f"`python benchmarks/tiling.py` wrote this page. Detector `{DETECTOR}`, `max_bank={MAX_BANK}`; "
        f"machine: {platform.machine()}, {os.cpu_count()} cores, with much other work on them: seconds of a "
        "processor (cpu) say more than those of a clock. "
        f"{TRAIN} normal images of {WIDTH}×{HEIGHT} pixels to learn from, {NORMAL} normal and {ANOMALOUS} "
        "anomalous to test: mosaics of crops from photographs of a surface, no two with a photograph in "
        "common. An anomalous one holds one crop with a small fault. So few images make wide intervals, and "
        "crops side by side are no real surface.",
        "",
        "Seconds are the median from file to answer; memory is the highest of the process that fits, and of "
        "`anomalens check` on four images.",
    ]
    for name, found in results.items():
        areas, surface = found["areas"], SURFACES[name]
        lines += [
            "",
            f"## {name.capitalize()}: {surface.note}",
            "",
            f"Faults: {surface.fault}, {min(areas)} to {max(areas)} pixels (median {int(np.median(areas))}).",
            "",
            "| how | image AUROC | AUPRO | s an image | cpu | fit, s | cpu | fit, MB | check, MB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for way, row in found["rows"].items():
            lines.append(
                f"| {way} | {row['image_auroc']:.3f} | {row['aupro']:.3f} | {row['seconds']:.1f} "
                f"| {row['cpu_seconds']:.1f} | {row['fit_seconds']:.0f} | {row['fit_cpu_seconds']:.0f} "
                f"| {row['fit_mb']:.0f} | {row['check_mb']:.0f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

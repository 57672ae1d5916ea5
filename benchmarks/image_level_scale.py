"""How image-level detectors scale: writes image_level_scale.json and image_level_scale.md beside this file.

python benchmarks/image_level_scale.py                    all of it
python benchmarks/image_level_scale.py extract fit        some parts (of extract, table, fit; others are kept)
    --detector knn     only these detectors (repeat)      --size 128   extract at these sizes only (repeat)
    --quick            a few hundred images and vectors, to try the script; nothing is written

Fashion-MNIST is found where Debian's package dataset-fashion-mnist puts it.
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from opening import opening

from anomalens.backbones.runtimes import Runtime, choose
from anomalens.datasets import load_tasks
from anomalens.detectors import load_detector
from anomalens.detectors.features.cache import FeatureCache
from anomalens.detectors.features.extractor import FeatureGroup, FeatureSettings
from anomalens.detectors.features.making import make_extractor
from anomalens.errors import ImageError
from anomalens.evaluation.memory import peak_mb, start_peak
from anomalens.images import ImageSet, Preprocessing, stream
from anomalens.inspector.fit_options import DETECTOR
from anomalens.job import Job
from anomalens.threads import one_blas_thread

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "image_level_scale.json", HERE / "image_level_scale.md"
DETECTORS = ("gaussian", "knn", "kde", "gmm", "pca", "ocsvm", "iforest", "lof")
SIZES = (64, 96, 128)
USUAL = 128  # pixels: what tiny images are enlarged to unless --size says otherwise
VECTORS = 1_000_000
PARTS = ("extract", "table", "fit")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--detector", action="append")
    parser.add_argument("--size", action="append", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "COUNT", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(fit_one(asked.one[0], int(asked.one[1]), Path(asked.one[2]))))
        return
    if set(asked.parts) - set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}, not {' '.join(asked.parts)}")
    parts, detectors = asked.parts or PARTS, asked.detector or DETECTORS
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in PARTS:
        found.setdefault(part, {})
    found["machine"] = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"

    def keep(part: str, row: str, values: dict[str, Any]) -> None:
        print(part, row, values, flush=True)
        found[part][row] = values
        if not asked.quick:
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
            PAGE.write_text(page(found))

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        images = every_image(asked.quick)
        sizes = asked.size or (SIZES if "extract" in parts else [USUAL] if "table" in parts else [])
        for size in sizes:
            keep("extract", str(size), extract(images, size, folder / str(size)))
        if "table" in parts:
            for name in detectors:
                keep("table", name, table(name, folder / str(USUAL), asked.quick))
        if "fit" in parts:
            np.save(folder / "real.npy", some_vectors(images, 300 if asked.quick else 6000))
            for name in detectors:
                keep("fit", name, fit(name, 5000 if asked.quick else VECTORS, folder / "real.npy"))


def every_image(quick: bool) -> ImageSet:
    """The 60,000 training and the 10,000 test images, class by class; when quick, some."""
    tasks = load_tasks("fashion-mnist", protocol="one-vs-rest")
    images = ImageSet.concatenate([*(task.train for task in tasks), tasks[0].test])
    return images.subset(range(0, len(images), 100)) if quick else images


def vectors(images: ImageSet, size: int, cache: FeatureCache | None = None) -> Iterator[np.ndarray]:
    """Features on the path that fitting and checking take: read, prepare, look up, run the network."""
    runtime = choose(threads=None)
    extractor = make_extractor(FeatureSettings(), size=(size, size), runtime=runtime)
    if cache is not None:
        extractor = cache.through(extractor, runtime=runtime)
    preprocessing = Preprocessing.parse("stretch", width=size, height=size)
    for _, prepared in stream(images, preprocessing.apply, reduce_to=preprocessing.reduce_to):
        if isinstance(prepared, ImageError):
            raise prepared
        yield extractor(prepared.pixels)


def extract(images: ImageSet, size: int, folder: Path) -> dict[str, Any]:
    """Fill an empty feature cache."""
    start, cpu = time.perf_counter(), time.process_time()
    dimensions = {len(vector) for vector in vectors(images, size, FeatureCache(folder))}
    return {
        "images": len(images),
        "dimensions": dimensions.pop(),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def table(name: str, cache: Path, quick: bool) -> dict[str, Any]:
    """Ten `anomalens evaluate` commands, one a class, on a warm cache, as many at a time as there are cores.

    Each takes one core most of the time: after the network, little is left to share.
    """
    tasks = load_tasks("fashion-mnist", protocol="one-vs-rest")
    classes = [task.normal_class for task in tasks][: 2 if quick else None]
    code = "from anomalens.cli.main import main; main()"

    def evaluate(label: str | None) -> list[dict[str, Any]]:
        file = cache / f"{name}-{label}.json"
        words = ["evaluate", "fashion-mnist", "--protocol", "one-vs-rest", "--normal-class", str(label)]
        words += ["--detector", name, "--feature-cache", str(cache), "--json", str(file)]
        words += ["--shots", "100"] if quick else []
        subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
        cards = json.loads(file.read_text())
        file.unlink()
        return list(cards if isinstance(cards, list) else cards["cards"])

    start = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        cards = [card for found in pool.map(evaluate, classes) for card in found]
    return {
        "classes": len(cards),
        "seconds": round(time.perf_counter() - start, 1),
        "fit_seconds": round(float(np.mean([card["fit_seconds"] for card in cards])), 1),
        "ms_per_image": round(float(np.mean([card["ms_per_image"] for card in cards])), 2),
        "image_auroc": round(float(np.mean([card["image_auroc"] for card in cards])), 4),
        "peak_mb": round(max(card["peak_mb"] for card in cards)),
    }


def some_vectors(images: ImageSet, count: int) -> np.ndarray:
    """Features of images from all classes, float32 [count, d]."""
    places = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
    return np.stack(list(vectors(images.subset(places), USUAL)))


class Numbered:
    """As many "images" as asked for, each of which holds nothing but its number; each its own group."""

    size = (32, 32)

    def __init__(self, count: int) -> None:
        self.ids: Sequence[str] = [str(number) for number in range(count)]
        self.groups = np.arange(count)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[np.ndarray]:
        for number in range(len(self)):
            yield np.array([number], np.int64).view(np.uint8).reshape(2, 4, 1)


class Resampled:
    """An extractor that makes a vector from an image's number: a real one and noise of a third its scale."""

    def __init__(self, real: np.ndarray) -> None:
        self._real = real
        scale = real.std(axis=0) / 3
        noise = np.random.default_rng(0).standard_normal((4099, real.shape[1]), np.float32)
        self._noise = (noise * scale).astype(np.float32)
        self.groups = (FeatureGroup("all", 0, real.shape[1]),)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        number = int(image.reshape(-1).view(np.int64)[0])
        return np.asarray(self._real[number % len(self._real)] + self._noise[number % len(self._noise)])

    def numbers(self) -> dict[str, Any]:
        return {"kind": "resampled"}

    def graphs(self) -> dict[str, bytes]:
        return {}


def fit(name: str, count: int, file: Path) -> dict[str, Any]:
    """`fit_one` in a process of its own, whose peak memory is its own."""
    words = [sys.executable, __file__, "--one", name, str(count), str(file)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def fit_one(name: str, count: int, file: Path) -> dict[str, Any]:
    """The class's own `fit` on generated vectors: budget, collecting, space, head, out-of-fold scores."""
    kind = load_detector(name)
    extractor = Resampled(np.load(file))

    class Fed(kind):  # type: ignore[misc, valid-type]
        def _use(self, _: Any, runtime: Runtime) -> None:
            self._extractor, self._runtime = extractor, runtime

    detector = Fed(kind.settings_type())
    images = Numbered(count)
    start_peak()
    before, start, cpu = peak_mb(), time.perf_counter(), time.process_time()
    with one_blas_thread():
        scores = detector.fit(images, Job(choose(threads=None)))
    return {
        "vectors": count,
        "dimensions": extractor.groups[0].stop,
        "learnt_from": len(detector.ids_),
        "calibration_scores": int(np.isfinite(scores.image).sum()),
        "budget_mb": detector.settings.memory_mb,
        "before_mb": round(before),
        "peak_mb": round(peak_mb()),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def page(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Image-level detectors at scale",
        "",
        opening(PAGE),
        "",
        f"`python benchmarks/image_level_scale.py` wrote this page; machine: {found['machine']}. Other work "
        f"may run on it: CPU seconds tell how much was done. Features are the defaults, "
        f"`{FeatureSettings().backbone}`; the default detector elsewhere is `{DETECTOR}`.",
        "",
        "## Features of Fashion-MNIST",
        "",
        "Reading, preparing, running the network and writing to an empty feature cache.",
        "",
        *rows(found["extract"], "px", ("images", "dimensions", "seconds", "cpu_seconds")),
        "",
        "## The ten-class table",
        "",
        "`anomalens evaluate fashion-mnist --protocol one-vs-rest --normal-class … --feature-cache …` for "
        "each class (6,000 images to learn from, 10,000 to test), with all features in the cache; as many "
        "commands at a time as there are cores. Seconds are of all ten commands, from start to "
        "end; the others are means of a command, and its highest memory.",
        "",
        *rows(
            found["table"],
            "detector",
            ("classes", "seconds", "fit_seconds", "ms_per_image", "image_auroc", "peak_mb"),
        ),
        "",
        "## A million feature vectors",
        "",
        "The detector's own `fit` (budget, collecting, space, head, out-of-fold scores) with an extractor "
        "that makes vectors in place of the network: real ones of Fashion-MNIST, drawn again and again, with "
        "noise of a third of each feature's deviation. `memory_mb` is the budget for features and their "
        "copies; of more images a random part is learnt from. Memory is of the whole process, before and at "
        "its peak.",
        "",
        *rows(
            found["fit"],
            "detector",
            (
                "vectors", "dimensions", "budget_mb", "learnt_from", "calibration_scores", "before_mb",
                "peak_mb", "seconds", "cpu_seconds",
            ),
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def rows(found: dict[str, dict[str, Any]], first: str, columns: Sequence[str]) -> list[str]:
    """A table; names of columns in words."""
    if not found:
        return ["Not measured yet."]
    heads = [first, *(name.replace("_mb", " MB").replace("_", " ") for name in columns)]
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' --: |' * len(columns)}"]
    for name, values in found.items():
        lines.append(f"| {name} | {' | '.join(f'{values[column]:,}' for column in columns)} |")
    return lines


if __name__ == "__main__":
    main()

"""From an array to the verdict with its map, one picture at a time: writes latency.md beside this file.

`python benchmarks/latency.py` fits detectors to mvtec_transistor with each runtime, then checks 20 pictures
of 256 px again and again, detectors and runtimes in turn, so that other work on the machine meets all of them
alike. Run it on a quiet machine.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from pathlib import Path

import numpy as np
from opening import opening
from PIL import Image
from real_sets import DATA

from anomalens import Inspector
from anomalens.backbones.machine import available
from anomalens.errors import AnomalensWarning
from anomalens.images import normal_images

PAGE = Path(__file__).with_suffix(".md")
PART = DATA / "mvtec_transistor"
DETECTORS = ("padim", "patchcore", "auto")
SIDE, PICTURES, ROUNDS, WARM = 256, 20, 20, 5
TOLD = ("avx2", "avx512f", "avx512_bf16", "amx_tile")


def pictures() -> list[np.ndarray]:
    """Test pictures as a camera would give them: uint8 [256, 256, 3]."""
    files = sorted((PART / "test").glob("*/*"))
    chosen = files[:: len(files) // PICTURES][:PICTURES]
    return [np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE))) for file in chosen]


def processor() -> str:
    """What decides how fast a network runs on it."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        flags = set()
    return (
        f"{platform.machine()} with {', '.join(flag for flag in TOLD if flag in flags) or 'unknown features'}"
    )


def one_round(inspector: Inspector, arrays: list[np.ndarray]) -> list[float]:
    """Seconds of each picture, after a pause and a few pictures that are not timed.

    The threads of the runtime that worked before wait busily for a while, and its weights fill the caches:
    who uses one model meets neither.
    """
    time.sleep(0.1)
    for array in arrays[:WARM]:
        list(inspector.check([array]))
    taken = []
    for array in arrays:
        start = time.perf_counter()
        (finding,) = inspector.check([array])
        taken.append(time.perf_counter() - start)
        assert finding.map is not None
    return taken


def main() -> None:
    normal, arrays = normal_images(PART), pictures()
    inspectors, fits = {}, {}
    for detector in DETECTORS:
        for runtime in available():
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnomalensWarning)
                fitted = Inspector.fit(normal, detector=detector, runtime=runtime, threads=2)
            inspectors[detector, runtime] = fitted
            fits[detector, runtime] = time.perf_counter() - start
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in inspectors}
    for turn in range(ROUNDS + 1):
        for key, inspector in inspectors.items():
            found = one_round(inspector, arrays)
            taken[key] += found if turn else []  # the first only warms up
    rows = []
    for key, seconds in taken.items():
        low, middle, high = 1000 * np.quantile(seconds, (0.1, 0.5, 0.9))
        rows.append(f"| {key[0]} | {key[1]} | {middle:.1f} | {low:.1f} to {high:.1f} | {fits[key]:.0f} |")
        print(rows[-1], flush=True)
    PAGE.write_text(
        f"# From an array to the verdict\n\n{opening(PAGE)}\n\n"
        f"Milliseconds for one picture of {SIDE} px, with its map and all that a finding holds, on two "
        f"threads of {os.cpu_count()} cores, {processor()}; float32, mvtec_transistor, {len(arrays)} "
        f"pictures {ROUNDS} times, detectors and runtimes in turn. `python benchmarks/latency.py` wrote this "
        "page.\n\n"
        "| detector | runtime | median | 10 % to 90 % | fit of 213 pictures, s |\n"
        "| --- | --- | --: | --: | --: |\n" + "\n".join(rows) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()

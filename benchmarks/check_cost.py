"""What a check costs beside another checkout: `python benchmarks/check_cost.py OTHER/src DATASET`.

Fits the same set with both, then checks 200 pictures, half of them defective, in turn, three times: alone,
with pages, and with pages and reasons. Prints the medians and their ratio, and the peak memory of each.
"""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "src"
CALL = "import sys; from anomalens.cli.main import run; sys.exit(run(sys.argv[1:]))"
WAYS = {"check": [], "--out": ["--out"], "--out --explain": ["--explain", "flagged", "--out"]}
EACH, TURNS = 100, 3


def call(source: Path, folder: Path, *words: str) -> float:
    """Seconds of one command with the package of one checkout."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CALL, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stderr[-1000:])
    return time.perf_counter() - begun


def pictures(dataset: Path, folder: Path) -> Path:
    """A hundred good and a hundred defective test pictures, some of them more than once."""
    place = folder / "pictures"
    place.mkdir()
    good = sorted((dataset / "test" / "good").iterdir())
    bad = sorted(p for kind in (dataset / "test").iterdir() if kind.name != "good" for p in kind.iterdir())
    some = [*itertools.islice(itertools.cycle(good), EACH), *itertools.islice(itertools.cycle(bad), EACH)]
    for number, path in enumerate(some):
        shutil.copy(path, place / f"{number:03d}{path.suffix}")
    return place


def main() -> None:
    other, dataset = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    sources = {"other": other, "this": HERE}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = pictures(dataset, folder)
        for which, source in sources.items():
            call(source, folder, "fit", str(dataset), "--size", "256", "--out", f"{which}.anomalens")
        times: dict[tuple[str, str], list[float]] = {}
        for _, (way, words), (which, source) in itertools.product(
            range(TURNS), WAYS.items(), sources.items()
        ):
            report = [f"report-{which}"] if words else []
            taken = call(source, folder, "check", f"{which}.anomalens", str(place), *words, *report)
            times.setdefault((way, which), []).append(taken)
    for way in WAYS:
        before, now = (statistics.median(times[way, which]) for which in sources)
        print(f"{way:18} other {before:6.2f} s  this {now:6.2f} s  {before / now:.2f} times as fast")
    print(f"peak memory of any call: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()

"""Does every trained detector end with a model at its defaults, and how long does it take?

    python benchmarks/trained_ends.py [NAME …] [--count 30 …] [--size 32 …] [--runtime …]

Magnetic tiles, 30, 150 and 400 of them, at 32, 64 and 128 px; on each runtime that is installed unless told
otherwise. `ANOMALENS_DATA` says where the shared sets are.
"""

from __future__ import annotations

import argparse
import time
import warnings

from real_sets import DATA

from anomalens import Inspector
from anomalens.backbones.runtimes import NAMES
from anomalens.errors import InputError

TRAINED = (
    "cae", "cae-kde", "vae", "vae-gan", "f-anogan", "ganomaly", "deep-svdd", "rotnet", "cutpaste", "flow",
    "fastflow", "simplenet", "student-teacher",
)  # fmt: skip


def seconds_or_why(name: str, count: int, size: int, runtime: str) -> str:
    """Seconds of a fit, or the sentence that it ended with."""
    pictures = sorted((DATA / "magnetic_tile" / "train" / "good").iterdir())[:count]
    begun = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few pictures
            model = Inspector.fit(pictures, detector=name, size=size, runtime=runtime)
    except InputError as error:
        return str(error)
    took = time.perf_counter() - begun
    (finding,) = model.check(pictures[:1])
    return f"{took:.0f} s" if finding.score is not None else str(finding.error)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=TRAINED)
    parser.add_argument("--count", type=int, nargs="+", default=(30, 150, 400))
    parser.add_argument("--size", type=int, nargs="+", default=(32, 64, 128))
    parser.add_argument("--runtime", nargs="+", default=NAMES)
    asked = parser.parse_args()
    print(f"| detector | pictures | px | {' | '.join(asked.runtime)} |")
    print("| --- | --: | --: |" + " --: |" * len(asked.runtime))
    for name in asked.names:
        for count in asked.count:
            for size in asked.size:
                cells = [seconds_or_why(name, count, size, runtime) for runtime in asked.runtime]
                print(f"| {name} | {count} | {size} | {' | '.join(cells)} |", flush=True)

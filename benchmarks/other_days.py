"""On which sets `check` speaks of another kind of picture or of another day.

`python benchmarks/other_days.py` fits `gaussian` (`--detector auto` another one) on at most 160 normal
pictures and asks about at most 60 good and 60 defective ones. Prints what is said of the good ones alone,
where only a shift may raise it, and of all together.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

from auto_constants import MORE, NAMES, cut
from real_sets import SETS, folder

from anomalens import Inspector
from anomalens.errors import AnomalensWarning
from anomalens.inspector.another_batch import Batch
from anomalens.inspector.finding import Finding


def said(inspector: Inspector, findings: Sequence[Finding]) -> str:
    """The figures of the sentence about a batch, or a dash."""
    batch = Batch(inspector.kind)
    for finding in findings:
        batch.add(finding)
    return "-" if batch.sentence is None else batch.sentence.partition(": ")[2].partition(". If")[0]


def main() -> None:
    warnings.simplefilter("ignore", AnomalensWarning)
    detector = sys.argv[sys.argv.index("--detector") + 1] if "--detector" in sys.argv else "gaussian"
    for name in (*NAMES, *MORE):
        data = cut(SETS[name]() if name in SETS else folder(name))
        inspector = Inspector.fit(data.train, detector=detector, threads=1)
        findings = list(inspector.check(data.test))
        good = [f for f, entry in zip(findings, data.test, strict=True) if entry.verdict == "normal"]
        noted = sum(bool(f.notes) for f in good), sum(bool(f.notes) for f in findings)
        print(
            f"{name}: notes on {noted[0]} of {len(good)} good, {noted[1]} of {len(findings)} pictures",
            flush=True,
        )
        print(f"  good ones: {said(inspector, good)}\n  all: {said(inspector, findings)}", flush=True)


if __name__ == "__main__":
    main()

"""What it brings to say of which day pictures are: `python benchmarks/captures.py [--detector NAME]`.

Each set is fitted with and without captures and asked about pictures of captures that nobody saw. The
spindle's are its places; of transistors and castings two or four days are made, each with a gain, an offset
and a gamma drawn by seed, and three other days for the test. Prints false alarms and defects found at an
asked 5 %, and what the same scores would find with 5 % of the good test pictures flagged.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from real_sets import DATA

from anomalens import ImageSet, Inspector
from anomalens.errors import AnomalensWarning

TRAIN, OTHER_DAYS = 120, 3


@dataclass(frozen=True)
class Trial:
    """Normal images that know their captures, and images of other captures."""

    name: str
    train: ImageSet
    good: ImageSet
    bad: ImageSet


def spindle() -> Trial:
    """Places of the spindle."""
    folder = DATA / "ball_screw_pitting"
    train = ImageSet.open(folder / "train" / "good")
    places = [re.sub(r".*_\d{12}_(\d+_\d+)_crop.*", r"\1", entry.id) for entry in train]
    parts = (ImageSet.open(folder / "test" / part) for part in ("good", "pitting"))
    return Trial("spindle, 7 places", captured(train, places), *parts)


def made_days(name: str, days: int, seed: int) -> Trial:
    """A set whose train part is taken on some days, and its test part on three others."""
    rng = np.random.default_rng(seed)
    train = sorted((DATA / name / "train" / "good").iterdir())
    train = [train[i] for i in sorted(rng.permutation(len(train))[:TRAIN])]
    day = [
        (rng.uniform(0.85, 1.15), rng.uniform(-0.04, 0.04), rng.uniform(0.85, 1.18)) for _ in range(days + 3)
    ]
    of = [i * days // len(train) for i in range(len(train))]
    seen = ImageSet.from_arrays([taken(path, *day[i]) for path, i in zip(train, of, strict=True)])
    kinds = sorted((DATA / name / "test").iterdir())
    bad = [path for kind in kinds if kind.name != "good" for path in sorted(kind.iterdir())][::2]
    good = sorted((DATA / name / "test" / "good").iterdir())
    tested = (
        ImageSet.from_arrays([taken(path, *day[days + i % OTHER_DAYS]) for i, path in enumerate(paths)])
        for paths in (good, bad)
    )
    return Trial(f"{name}, {days} made days, seed {seed}", captured(seen, [f"day {i}" for i in of]), *tested)


def taken(path: Path, gain: float, offset: float, gamma: float) -> np.ndarray:
    """The picture as another lamp shows it."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(np.float32) / 255
    changed: np.ndarray = np.clip(255 * (gain * pixels**gamma + offset), 0, 255).astype(np.uint8)
    return changed


def captured(images: ImageSet, captures: Sequence[str]) -> ImageSet:
    """The same images, each of its capture."""
    pairs = zip(images, captures, strict=True)
    return replace(images, entries=tuple(replace(entry, capture=name) for entry, name in pairs))


def trials() -> Iterator[Trial]:
    """All of them."""
    yield spindle()
    for days in (2, 4):
        for seed in (0, 1):
            yield made_days("mvtec_transistor", days, seed)
            yield made_days("casting_impeller", days, seed)


def main() -> None:
    warnings.simplefilter("ignore", AnomalensWarning)
    detector = sys.argv[sys.argv.index("--detector") + 1] if "--detector" in sys.argv else "gaussian"
    print("| set | captures | false alarms | found | at 5 % of the test's good |")
    print("| --- | --- | --: | --: | --: |")
    for trial in trials():
        unsaid = captured(trial.train, [""] * len(trial.train))
        for word, train in (("unsaid", unsaid), ("said", trial.train)):
            inspector = Inspector.fit(train, detector=detector, threads=1)
            good, bad = (
                np.array([f.score for f in inspector.check(part)]) for part in (trial.good, trial.bad)
            )
            limit = inspector.calibration.threshold.value
            print(
                f"| {trial.name} | {word} | {np.mean(good > limit):.0%} | {np.mean(bad > limit):.0%} "
                f"| {np.mean(bad > np.quantile(good, 0.95)):.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

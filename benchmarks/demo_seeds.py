"""The demonstration's photographs over twenty painting seeds: `python benchmarks/demo_seeds.py`.

Each is fitted once, as `anomalens demo` does; intact tiles are asked once, painted ones for every seed.
Prints the share found of each kind, and false alarms with an exact interval, each intact tile counted once.
"""

from __future__ import annotations

import warnings
from collections import Counter

from anomalens import Inspector
from anomalens.demo.photographs import PHOTOGRAPHS, Tiles
from anomalens.errors import AnomalensWarning
from anomalens.images.synthetic_defects import DEFECTS
from anomalens.metrics.verdicts import clopper_pearson

SEEDS = 20


def main() -> None:
    warnings.simplefilter("ignore", AnomalensWarning)
    alarms = intact = 0
    for photograph in PHOTOGRAPHS:
        pixels = photograph.pixels()
        first = Tiles.cut(pixels, side=photograph.tile, painted=0.0)
        options = {"policy": "false-alarm-rate=0.05", "groups": "declared"}
        inspector = Inspector.fit(list(first.normal.values()), **options)
        flagged = sum(bool(finding.anomalous) for finding in inspector.check(list(first.test.values())))
        found: Counter[str] = Counter()
        painted: Counter[str] = Counter()
        for seed in range(SEEDS):
            tiles = Tiles.cut(pixels, side=photograph.tile, seed=seed)
            findings = inspector.check([tiles.test[name] for name in tiles.masks])
            for name, finding in zip(tiles.masks, findings, strict=True):
                kind = name.split("/")[0]
                painted[kind] += 1
                found[kind] += bool(finding.anomalous)
        shares = ", ".join(f"{kind} {found[kind] / painted[kind]:.3f}" for kind in DEFECTS)
        total = sum(found.values()) / sum(painted.values())
        print(f"{photograph.name}: found {total:.3f} ({shares}); false alarms {flagged} of {len(first.test)}")
        if not photograph.fails:
            alarms, intact = alarms + flagged, intact + len(first.test)
    rate = clopper_pearson(alarms, intact)
    print(f"false alarms of those that lead: {alarms} of {intact}, {rate.low:.3f} to {rate.high:.3f}")


if __name__ == "__main__":
    main()

"""What each constant of `auto` is worth: `python benchmarks/auto_constants.py` writes auto_constants.md.

Every set is cut to 160 normal images and 60 test images of each kind, and `auto` is fitted and asked with
one rule changed at a time. A rule stays if its loss costs half a point in the mean of all sets, or a point on
two unlike ones. Because every rule was once set on these sets, the page also leaves one set out in
turn: the change that is best in the mean of the others is measured on that one.
"""

from __future__ import annotations

import json
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from real_sets import SETS, RealSet, folder

from anomalens import ImageSet, Inspector
from anomalens.detectors.patches.auto import (
    choice,
    learning,
    left_out,
    map_choice,
    reading,
    tail_fusion,
    weights,
)
from anomalens.detectors.patches.auto import detector as auto
from anomalens.detectors.patches.auto import fit as auto_fit
from anomalens.detectors.patches.views import image_components, position_gaussians
from anomalens.errors import AnomalensWarning
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.ranking import image_auroc

PAGE, FIGURES = Path(__file__).with_suffix(".md"), Path(__file__).with_suffix(".json")
MORE = ("casting_impeller", "cookies_cracked", "ball_screw_pitting")
NAMES = [name for name in SETS if name not in ("deeppcb/20085", "deeppcb/92000")]

Patch = tuple[Any, str, Any]  # a module or class, a name in it, and the value it gets
Change = tuple[dict[str, Any], Sequence[Patch]]  # parameters of auto, and patches


def mixes(*shares: tuple[float, float, float]) -> list[Patch]:
    """The ways to draw a map that there are to choose from."""
    return [(map_choice, "MIXES", shares)]


def gaussians(**fixed: float) -> list[Patch]:
    """Gaussians at positions with other parameters."""
    fit = position_gaussians.PositionGaussians.fit

    def changed(x: Any, axes: Any, **given: Any) -> Any:
        return fit(x, axes, **{**given, **fixed})

    return [(position_gaussians.PositionGaussians, "fit", staticmethod(changed))]


CHANGES: dict[str, Change] = {
    "as it is": ({}, []),
    "without layout": ({"layout": 0.0}, []),
    "without context": ({"context": 0.0}, []),
    "without the fine view": ({"fine": False}, []),
    "map: patches alone": ({"fine": False}, mixes((1, 0, 0))),
    "map: a third each, no evidence": ({}, mixes((1 / 3, 1 / 3, 1 / 3))),
    "map: half detail, half fine": ({}, mixes((0, 1 / 2, 1 / 2))),
    "map: half patches, half detail": ({"fine": False}, mixes((1 / 2, 1 / 2, 0))),
    "context in full from the first group": ({}, [(weights, "ENOUGH_GROUPS", 1)]),
    "scales trusted from the first group": ({}, [(weights, "FEW_GROUPS", (0, 1))]),
    "never varied": ({}, [(weights, "GAP", (50.0, 51.0))]),
    "mean of the highest hundredth": (
        {},
        [(module, "TOP_SHARE", 0.01) for module in (tail_fusion, auto, choice, left_out)],
    ),
    "layout along 64 axes": ({}, [(learning, "LAYOUT_DIMENSIONS", 64)]),
    "layout of every patch": ({}, [(module, "LAYOUT_STEP", 1) for module in (reading, left_out, auto_fit)]),
    "no components": ({"components": 0}, []),
    "components without a bound": ({}, [(image_components, "DEVIATIONS", 1e9)]),
    "positions without directions of their own": ({}, gaussians(rank=0)),
    "regularised by 0.3 instead of 1": ({}, gaussians(regularisation=0.3)),
}


@contextmanager
def patched(patches: Sequence[Patch]) -> Iterator[None]:
    """With these values, and the old ones afterwards."""
    old = [(place, name, place.__dict__[name]) for place, name, _ in patches]
    try:
        for place, name, value in patches:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in old:
            setattr(place, name, value)


def cut(data: RealSet, train: int = 160, each: int = 60) -> RealSet:
    """At most so many images to learn from, and so many of each kind to test on."""

    def some(rows: list[int], most: int) -> list[int]:
        return sorted(np.random.default_rng(0).permutation(rows)[:most].tolist())

    kinds = [
        [i for i, entry in enumerate(data.test) if (entry.verdict == "normal") == good] for good in (1, 0)
    ]
    tested = sorted(row for rows in kinds for row in some(rows, each))
    return RealSet(
        data.train.subset(some(list(range(len(data.train))), train)), data.test.subset(tested), data.size
    )


def measured(data: RealSet, change: Change) -> dict[str, float]:
    """Image AUROC, and AUPRO where there are masks, of `auto` with one change."""
    parameters, patches = change
    with warnings.catch_warnings(), patched(patches):
        warnings.simplefilter("ignore", AnomalensWarning)
        inspector = Inspector.fit(
            data.train, detector="auto", parameters=parameters, size=data.size, threads=1
        )
        findings = list(inspector.check(data.test))
    wrong = np.array([entry.verdict != "normal" for entry in data.test])
    found = {"auroc": image_auroc(np.array([finding.score for finding in findings]), wrong)}
    pairs = list(maps_and_masks(data.test, findings))
    if any(mask is not None for _, mask in pairs):
        found["aupro"] = pixel_figures(pairs).aupro
    return found


def maps_and_masks(test: ImageSet, findings: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Of normal images, and of those whose mask marks anything at the map's size."""
    for entry, finding in zip(test, findings, strict=True):
        if entry.verdict == "normal":
            yield finding.map, None
        elif entry.mask is not None:
            height, width = finding.map.shape
            mask = np.asarray(Image.open(entry.mask).convert("L").resize((width, height), Image.NEAREST)) > 0
            if mask.any():
                yield finding.map, mask


def differences(found: dict[str, dict[str, dict[str, float]]], key: str) -> dict[str, dict[str, float]]:
    """What each change adds, in points, by change and set."""
    return {
        change: {
            name: 100 * (by[change][key] - by["as it is"][key])
            for name, by in found.items()
            if key in by["as it is"]
        }
        for change in CHANGES
    }


def page(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """The table as Markdown."""
    ranked, drawn = differences(found, "auroc"), differences(found, "aupro")
    rows = []
    for change in CHANGES:
        if change == "as it is":
            continue
        ordered = sorted(ranked[change].items(), key=lambda pair: pair[1])
        worst = ", ".join(f"{name} {value:+.1f}" for name, value in ordered[:2] if value <= -0.5) or "–"
        best = ", ".join(f"{name} {value:+.1f}" for name, value in ordered[::-1][:2] if value >= 0.5) or "–"
        cells = [statistics.fmean(one[change].values()) for one in (ranked, drawn)]
        rows.append(f"| {change} | {cells[0]:+.2f} | {cells[1]:+.2f} | {worst} | {best} |")
    left_out = []
    for name in found:
        best = max(
            CHANGES,
            key=lambda change: sum(value for other, value in ranked[change].items() if other != name),
        )
        left_out.append(ranked[best][name])
    gained, low = statistics.fmean(left_out), min(left_out)
    usual = statistics.fmean(by["as it is"]["auroc"] for by in found.values())
    outlined = statistics.fmean(by["as it is"]["aupro"] for by in found.values() if "aupro" in by["as it is"])
    return f"""# What each constant of auto is worth

`auto` as it is has an image AUROC of {usual:.3f} and an AUPRO of {outlined:.3f} in the mean of
{len(found)} sets of real images. Each line changes one rule and says what that adds, in points; views,
evidence and components earn their place by single kinds of set (animals, castings, bottles), not by the
mean. Whoever had chosen the best of these changes on all sets but one would have found {gained:+.2f} points
on the set left out, in the mean, and {low:+.1f} on the worst.

| change | image AUROC | AUPRO | worst sets (AUROC) | best sets |
| --- | --: | --: | --- | --- |
{chr(10).join(rows)}

Sets cut to 160 normal images and 60 test images of each kind, seed 0. `python benchmarks/auto_constants.py`.
Rules that had lost nothing when they were left out are gone: see the
[log of decisions](../docs/decisions.md).
"""


def main() -> None:
    found = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name in [*NAMES, *MORE]:
        if name in found:
            continue
        data = cut(SETS[name]() if name in SETS else folder(name))
        found[name] = {}
        for change, how in CHANGES.items():
            found[name][change] = measured(data, how)
            print(name, change, found[name][change], file=sys.stderr, flush=True)
        FIGURES.write_text(json.dumps(found, indent=1) + "\n")
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()

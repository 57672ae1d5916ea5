"""How well boxes hold what is wrong: `python benchmarks/regions.py` writes regions.md.

`auto` at its defaults on sets with masks, cut to 80 normal images, 30 normal test images and 30 with a
defect. Boxes are compared with the masks on the map's pixels. How far down a region extends is a quantile of
the normal maps' maxima; it is chosen on all sets but the one that is measured.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from auto_constants import cut
from numpy.typing import NDArray
from opening import opening
from real_sets import folder
from scipy import ndimage

from anomalens import Inspector
from anomalens.calibration import Calibration, find_regions
from anomalens.calibration.regions import Box
from anomalens.errors import AnomalensWarning
from anomalens.evaluation.ground_truth import mask_on_map, visible_map
from anomalens.images.labels import GOOD

PAGE = Path(__file__).with_suffix(".md")
SETS = (
    "mvtec_transistor", "mvtec_leather_fewshot", "magnetic_tile", "cookies_cracked", "ball_screw_pitting",
    "paper_piped/bdp01_tl", "paper_piped/brg01_rl", "paper_piped/gla01_tl",
)  # fmt: skip
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
SQUARE = np.ones((3, 3))


@dataclass(frozen=True)
class Pictured:
    """A test image: its map, its mask (None where it is normal) and whether it was flagged."""

    map: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    flagged: bool


def pictured(name: str) -> tuple[Calibration, list[Pictured]]:
    """A model's calibration, and the test images that are normal or have a mask."""
    data = cut(folder(name), 80, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        model = Inspector.fit(data.train, threads=2)
        found = []
        for entry, answer in zip(data.test, model.check(data.test), strict=True):
            mask = None if entry.label == GOOD else mask_on_map(entry, answer)
            if entry.label == GOOD or mask is not None:
                found.append(Pictured(visible_map(answer), mask, bool(answer.anomalous)))
    return model.calibration, found


def crumbs(anomaly_map: NDArray[np.float32], level: float) -> list[Box]:
    """The former way: each connected part above one level."""
    parts = ndimage.find_objects(ndimage.label(anomaly_map > level, SQUARE)[0])
    return [(x.start, y.start, x.stop, y.stop) for y, x in parts][:100]


def boxes(calibration: Calibration, image: Pictured, quantile: float | None) -> list[Box]:
    """The boxes of a flagged image; the former way where no quantile is given."""
    threshold = calibration.region_threshold
    if not image.flagged or threshold is None or calibration.map_maxima is None:
        return []
    level = min(threshold, 0.9 * float(image.map.max()))
    if quantile is None:
        return crumbs(image.map, level)
    low = float(np.quantile(calibration.map_maxima, quantile))
    return [region.box for region in find_regions(image.map, level, lambda box: box, low=low)]


def filled(shape: tuple[int, ...], found: Iterable[Box]) -> NDArray[np.bool_]:
    inside = np.zeros(shape, bool)
    for x0, y0, x1, y1 in found:
        inside[y0:y1, x0:x1] = True
    return inside


def measured(calibration: Calibration, images: list[Pictured], quantile: float | None) -> dict[str, float]:
    """Shares and counts over the flagged images with a defect, and the false area over all normal ones."""
    covered, per_defect, overlap, false = [], [], [], []
    for image in images:
        found = boxes(calibration, image, quantile)
        inside = filled(image.map.shape, found)
        if image.mask is None:
            false.append(float(inside.mean()))
        elif image.flagged:
            covered.append(float(inside[image.mask].mean()))
            labels = ndimage.label(image.mask, SQUARE)[0]
            parts = ndimage.find_objects(labels)
            for i in range(len(parts)):
                hits = sum((labels[y0:y1, x0:x1] == i + 1).any() for x0, y0, x1, y1 in found)
                per_defect += [hits] if hits else []
            true = filled(image.map.shape, [(x.start, y.start, x.stop, y.stop) for y, x in parts])
            overlap.append(float((inside & true).sum() / (inside | true).sum()))
    return {
        "images": len(covered),
        "covered": _mean(covered),
        "per defect": _mean(per_defect),
        "overlap": _mean(overlap),
        "false": _mean(false),
    }


def _mean(values: list[float]) -> float:
    return statistics.fmean(values) if values else float("nan")


def page(former: dict[str, dict[str, float]], tried: dict[str, dict[float, dict[str, float]]]) -> str:
    names = list(tried)
    lines = [
        "# What regions hold",
        "",
        opening(PAGE),
        "",
        " ".join(__doc__.partition("\n\n")[2].split()) + " `python benchmarks/regions.py` writes this page.",
        "",
        "Before: each connected part above the region threshold. After: as far down as the quantile that "
        "has the best overlap on the other sets, gaps of up to 8 px bridged, no box below 8 px. Overlap is "
        "intersection over union with the boxes of the mask's parts; false area that of boxes on normal "
        "pictures.",
        "",
        "| set | flagged | quantile | defect area inside | boxes per defect | overlap | false area, % |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    after, before = [], []
    for name in names:
        others = [one for one in names if one != name]
        best = max(QUANTILES, key=lambda q: _mean([tried[one][q]["overlap"] for one in others]))
        a, b = tried[name][best], former[name]
        after.append(a)
        before.append(b)
        lines.append(_row(name, f"{b['images']:.0f} | {best:g}", b, a))
    means = [{key: _mean([one[key] for one in rows]) for key in before[0]} for rows in (before, after)]
    lines.append(_row("mean", " | ", *means))
    lines += ["", "## Each quantile, mean over the sets", ""]
    lines += ["| quantile | defect area inside | boxes per defect found | overlap | false area, % |"]
    lines += ["| --: | --: | --: | --: | --: |"]
    for q in QUANTILES:
        m = {key: _mean([tried[name][q][key] for name in names]) for key in before[0]}
        cells = (m["covered"], m["per defect"], m["overlap"], 100 * m["false"])
        lines.append(f"| {q:g} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _row(name: str, told: str, before: dict[str, float], after: dict[str, float]) -> str:
    shown = [(key, 100 if key == "false" else 1) for key in ("covered", "per defect", "overlap", "false")]
    cells = " | ".join(f"{by * before[key]:.2f} → {by * after[key]:.2f}" for key, by in shown)
    return f"| {name} | {told} | {cells} |"


def main() -> None:
    former, tried = {}, {}
    for name in SETS:
        calibration, images = pictured(name)
        former[name] = measured(calibration, images, None)
        tried[name] = {q: measured(calibration, images, q) for q in QUANTILES}
        print(name, former[name], tried[name][0.5], flush=True)
    PAGE.write_text(page(former, tried), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

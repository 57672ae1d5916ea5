"""Template pairs: `python benchmarks/template_pairs.py` writes template_pairs.md beside this file.

No tested board of DeepPCB is free of defects, so normal pairs are made of the real ones: in each box of a
board the pixels of its template are put, moved onto the board, and all the rest stays as it was photographed,
edges, noise and misalignment. Half of each group's healed boards are learnt from; the other half's boards are
tested, healed (normal) and as they are (defective). `moved` cuts image and template out up to 10 px apart and
gives them other exposures. Other sets give pairs of one picture, taken apart by up to 7 px, with noise of
their own and other exposures, every second one with a faint painted defect: nothing was tuned on boards
alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from opening import opening
from PIL import Image
from real_sets import DATA

from anomalens import ImageSet, Inspector
from anomalens.datasets.masks import read_mask
from anomalens.detectors.patches.registration import aligned
from anomalens.errors import AnomalensWarning
from anomalens.evaluation.ground_truth import mask_on_map, visible_map
from anomalens.images.image_entry import ImageEntry
from anomalens.images.labels import of_kind
from anomalens.images.synthetic_defects import DEFECTS, paint
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.ranking import image_auroc

PAGE = Path(__file__).with_suffix(".md")
GROUPS = ("00041", "12100", "12300", "13000", "20085", "90100", "92000")
PARTS = {
    "mvtec_transistor": "train/good",
    "brick_cracks": "train/good",
    "mvtec_loco_juice_bottle": "train/good",
}
PER_GROUP = 10  # pairs of each group
CUT = 10  # pixels that a moved board loses on each side
BESIDE = 5  # a region this near to a box, in pixels, has found it
ALARMS = 0.05


@dataclass
class Pairs:
    """Entries with their references: normal ones to learn from, and labelled ones to test."""

    train: list[ImageEntry] = field(default_factory=list)
    test: list[ImageEntry] = field(default_factory=list)


class Folder:
    """Writes arrays as files of a folder, and gives their entries."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0

    def add(
        self, pixels: np.ndarray, reference: np.ndarray, label: str, mask: np.ndarray | None = None
    ) -> ImageEntry:
        self.count += 1
        place = self.root / f"{self.count:04d}.png"
        template, marked = place.with_suffix(".template.png"), place.with_suffix(".mask.png")
        Image.fromarray(pixels).save(place)
        Image.fromarray(reference).save(template)
        if mask is not None:
            Image.fromarray(mask).save(marked)
        return ImageEntry(
            place.name, place, *of_kind(label), mask=None if mask is None else marked,
            reference=ImageEntry(template.name, template),
        )  # fmt: skip


def boards(folder: Folder, *, moved: bool) -> Pairs:
    """Healed and real boards of all groups."""
    pairs, rng = Pairs(), np.random.default_rng(0)
    for group in GROUPS:
        for place, file in enumerate(sorted((DATA / "deeppcb" / group / "test").glob("*.png"))[:PER_GROUP]):
            tested, template = grey(file), grey(DATA / "deeppcb" / group / "template" / file.name)
            boxes = DATA / "deeppcb" / group / "boxes" / f"{file.stem}.txt"
            mask = read_mask(ImageEntry(file.name, file, mask=boxes), (tested.shape[1], tested.shape[0]))
            assert mask is not None
            healed = np.where(mask, moved_onto(template, tested), tested)
            if moved:
                window, other = (slice(CUT, -CUT),) * 2, [int(s) for s in rng.integers(-CUT, CUT + 1, 2)]
                there = tuple(slice(CUT + s, len(tested) - CUT + s) for s in other)
                template = exposed(template[there], rng)
                healed, tested, mask = healed[window], tested[window], mask[window]
            if place < PER_GROUP // 2:
                pairs.train.append(folder.add(healed, template, "good"))
            else:
                pairs.test.append(folder.add(healed, template, "good"))
                pairs.test.append(folder.add(tested, template, "defect", mask))
    return pairs


def parts(folder: Folder, name: str) -> Pairs:
    """Photographs and what a second look at the same part may give."""
    pairs, rng = Pairs(), np.random.default_rng(0)
    for place, file in enumerate(sorted((DATA / name / PARTS[name]).glob("*.jpg"))[:60]):
        with Image.open(file) as opened:
            whole = np.asarray(opened.convert("RGB").resize((256, 256)))
        image, mask = whole[8:-8, 8:-8], None
        if place >= 30 and place % 2:
            image, mask = paint(image, DEFECTS[place % 3], rng, strength=rng.uniform(0.15, 0.5))
        dx, dy = rng.uniform(-7.5, 7.5, 2)
        matrix = (1, 0, 8 + dx, 0, 1, 8 + dy)
        moved = Image.fromarray(whole).transform(
            (240, 240), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        entry = folder.add(
            noisy(image, rng), noisy(exposed(np.asarray(moved), rng), rng),
            "good" if mask is None else "defect", mask,
        )  # fmt: skip
        (pairs.train if place < 30 else pairs.test).append(entry)
    return pairs


def grey(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("L"))


def moved_onto(template: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """The template where the board is: some pairs lie 10 px apart as they were published."""
    pair = [np.repeat(one[..., None], 3, axis=2) for one in (template, tested)]
    return np.where(aligned(*pair, max_shift=16)[..., 0] > 127, 255, 0).astype(np.uint8)  # black or white


def exposed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gain, offset = rng.uniform(0.75, 1.0), rng.uniform(0, 30)
    return np.clip(pixels * gain + offset, 0, 255).round().astype(np.uint8)


def noisy(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).round().astype(np.uint8)


def measure(case: str, pairs: Pairs, detector: str, size: int, *, templates: bool = False) -> str:
    """One row of the table."""
    train, test = ImageSet(tuple(pairs.train), case), ImageSet(tuple(pairs.test), case)
    if templates:
        train = train.references
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)
        model = Inspector.fit(
            train, detector=detector, size=size, policy=f"false-alarm-rate={ALARMS}", runtime="auto"
        )
    start = time.perf_counter()
    findings = list(model.check(test))
    spent = 1000 * (time.perf_counter() - start) / len(test)
    scores = np.array([finding.score for finding in findings])
    flagged = np.array([finding.anomalous for finding in findings])
    defective = np.array([entry.label != "good" for entry in test])
    maps = [
        (visible_map(finding), mask_on_map(entry, finding))
        for entry, finding in zip(test, findings, strict=True)
    ]
    pixels = pixel_figures(maps)
    found = regions(test, findings)
    learnt = "templates" if templates else "pairs"
    print(case, detector, size, learnt, flush=True)
    return (
        f"| {case} | {detector} | {learnt if detector == 'template' else 'images'} | {size} | "
        f"{image_auroc(scores, defective):.3f} | {pixels.pixel_auroc:.3f} | {pixels.pixel_ap:.3f} | "
        f"{pixels.aupro:.3f} | {flagged[~defective].mean():.2f} | {flagged[defective].mean():.2f} | "
        f"{found[0]:.2f} | {found[1]:.2f} | {spent:.0f} |"
    )


def regions(test: ImageSet, findings: list) -> tuple[float, float]:
    """Share of the marked places that a region touches, and of the regions that touch one."""
    from scipy.ndimage import find_objects, label

    hit = places = right = told = 0
    for entry, finding in zip(test, findings, strict=True):
        mask = read_mask(entry, finding.original_size) if entry.mask is not None else None
        boxes = [] if mask is None else [
            (x.start, y.start, x.stop, y.stop) for y, x in find_objects(label(mask)[0])
        ]  # fmt: skip
        answers = [region.box for region in finding.regions]
        hit += sum(any(touch(box, answer) for answer in answers) for box in boxes)
        right += sum(any(touch(box, answer) for box in boxes) for answer in answers)
        places, told = places + len(boxes), told + len(answers)
    return hit / max(places, 1), right / max(told, 1)


def touch(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(a[i] - BESIDE < b[i + 2] and b[i] - BESIDE < a[i + 2] for i in (0, 1))


def rows(root: Path) -> Iterator[str]:
    cases = {"boards": boards(made(root, "boards"), moved=False)}
    yield measure("boards", cases["boards"], "template", 256)
    yield measure("boards", cases["boards"], "template", 256, templates=True)
    yield measure("boards, moved", boards(made(root, "moved"), moved=True), "template", 256)
    for name in PARTS:
        cases[name] = parts(made(root, name), name)
        yield measure(name, cases[name], "template", 256)
    for name, pairs in cases.items():
        yield measure(name, pairs, "patchcore", 256)
    for size in (384, 640):
        yield measure("boards", cases["boards"], "template", size)


def made(root: Path, name: str) -> Folder:
    (root / name).mkdir()
    return Folder(root / name)


def page(table: list[str]) -> str:
    head = (
        "set", "detector", "learnt from", "px", "image AUROC", "pixel AUROC", "pixel AP", "AUPRO",
        f"normal flagged (asked {ALARMS})", "defective flagged", "places found", "regions right", "ms",
    )  # fmt: skip
    about = (__doc__ or "").split("\n\n", 1)[1].strip()
    lines = [
        "# Template pairs",
        "",
        opening(PAGE),
        "",
        about,
        "",
        "Written by `python benchmarks/template_pairs.py`. Places found:",
    ]
    lines += [
        "marked places of defective images that a region touches. Regions right: regions that touch one."
    ]
    lines += ["ms: of a pair, reading included, on a machine that may have had other work.", ""]
    lines += ["| " + " | ".join(head) + " |", "| --- | --- | --- |" + " --: |" * (len(head) - 3), *table, ""]
    return "\n".join(lines)


def main() -> None:
    if not DATA.is_dir():
        sys.exit("There are no real images; set ANOMALENS_DATA to their folder.")
    table: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        for row in rows(Path(root)):
            table.append(row)
            PAGE.write_text(page(table), encoding="utf-8")


if __name__ == "__main__":
    main()

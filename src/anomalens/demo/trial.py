"""Fit, save, load, check and report on each photograph, through the doors that everyone uses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from anomalens.demo.page import write_page
from anomalens.demo.photographs import PHOTOGRAPHS, Photograph, Tiles
from anomalens.demo.record import Pictures, Shown, Trial
from anomalens.demo.workspace import Workspace
from anomalens.images import ImageSet, labelled_images, recognise
from anomalens.images.synthetic_defects import DEFECTS
from anomalens.inspector import Finding, Inspector
from anomalens.metrics.ranking import auroc
from anomalens.progress import Progress, silent
from anomalens.reports import CheckReport, ModelRecord

RATE: Final = 0.05


def run_demo(
    out: str | Path,
    *,
    photographs: Sequence[Photograph] = PHOTOGRAPHS,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Trial]:
    """Run the demonstration; yields one trial per photograph as it is done, and then writes `index.html`.

    Parameters
    ----------
    out : str or Path
        A folder that does not exist, is empty, or holds an earlier demonstration.
    photographs : sequence of Photograph
    seed : int
        Places and kinds of the painted defects.

    Raises
    ------
    InputError
        `out` is a file or holds other things.
    """
    workspace = Workspace.claim(Path(out))
    trials = []
    for photograph in photographs:
        trials.append(_try(workspace, photograph, seed=seed, progress=progress))
        yield trials[-1]
    with workspace.writing():
        write_page(workspace.page, trials)


def _try(workspace: Workspace, photograph: Photograph, *, seed: int, progress: Progress) -> Trial:
    folder, model = workspace.fresh(photograph.name), workspace.out / f"{photograph.name}.anomalens"
    tiles = Tiles.cut(photograph.pixels(), side=photograph.tile, seed=seed)
    with workspace.writing():
        tiles.write(folder)
    started = time.perf_counter()
    fitted = Inspector.fit(
        folder / "train" / "good",
        policy=f"false-alarm-rate={RATE}",
        groups="declared",  # tiles share no pixel, so none is a copy of another
        seed=seed,
        progress=progress,
    )
    fit_seconds = time.perf_counter() - started
    fitted.save(model)
    inspector = Inspector.load(model)
    images = labelled_images(recognise(folder))
    started = time.perf_counter()
    findings = list(inspector.check(images, progress=progress))
    check_seconds = time.perf_counter() - started
    report = CheckReport(folder / "report", ModelRecord.of(inspector), images)
    for finding in findings:
        report.add(finding)
    kinds = [entry.label or "good" for entry in images]
    flagged = [kind for kind, finding in zip(kinds, findings, strict=True) if finding.anomalous]
    good, defects = _scores(kinds, findings, "good"), _scores(kinds, findings, *DEFECTS)
    page = report.finish()
    return Trial(
        photograph=photograph,
        n_normal=fitted.card["data"]["n_images"],
        n_good=len(good),
        painted=Counter(kind for kind in kinds if kind != "good"),
        found=Counter(kind for kind in flagged if kind != "good"),
        false_alarms=flagged.count("good"),
        image_auroc=auroc(good, defects),
        fit_seconds=fit_seconds,
        ms_per_image=1000 * check_seconds / len(findings),
        folder=folder,
        model=model,
        page=page,
        shown=_shown(report, images, findings),
    )


def _scores(kinds: Sequence[str], findings: Sequence[Finding], *wanted: str) -> list[float]:
    pairs = zip(kinds, findings, strict=True)
    return [finding.score for kind, finding in pairs if kind in wanted and finding.score is not None]


def _shown(report: CheckReport, images: ImageSet, findings: Sequence[Finding]) -> Shown:
    """For each kind the tile with the middle score, and the intact tiles that were flagged."""
    examples: dict[str, tuple[Pictures, bool]] = {}
    for kind in DEFECTS:
        rows = [i for i, entry in enumerate(images) if entry.label == kind]
        rows.sort(key=lambda i: findings[i].score or 0.0)
        if rows:
            middle = rows[len(rows) // 2]
            examples[kind] = (report.pictures(middle), bool(findings[middle].anomalous))
    alarms = [
        report.pictures(i)
        for i, entry in enumerate(images)
        if entry.label == "good" and findings[i].anomalous
    ]
    return Shown(examples, alarms)

"""Fit, save, load, check and report on each photograph, through the doors that everyone uses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.demo.photographs import PHOTOGRAPHS, TILE, Tiles, load_photograph
from anomalens.demo.workspace import Workspace
from anomalens.images import ImageSet, labelled_images, recognise
from anomalens.images.decode import decode
from anomalens.inspector import Finding, Inspector
from anomalens.metrics.ranking import auroc
from anomalens.progress import Progress, silent
from anomalens.reports import CheckReport, ModelRecord

SIZE: Final = 192
RATE: Final = 0.05


@dataclass(frozen=True)
class Trial:
    """What came out on one photograph; every number is measured.

    Attributes
    ----------
    name : str
    n_normal, n_good, n_defects : int
        Tiles that were learnt from; intact and painted tiles that were tested.
    found : int
        Painted tiles that were flagged.
    false_alarms : int
        Intact tiles that were flagged.
    image_auroc : float
    pixel_auroc : float
        Over the pixels of all tested tiles, against the painted masks.
    fit_seconds, ms_per_image : float
        With calibration; with decoding, without the report.
    size : int
        Side at which the network saw the tiles.
    folder, model, page : Path
    """

    name: str
    n_normal: int
    n_good: int
    n_defects: int
    found: int
    false_alarms: int
    image_auroc: float
    pixel_auroc: float
    fit_seconds: float
    ms_per_image: float
    size: int
    folder: Path
    model: Path
    page: Path


def run_demo(
    out: str | Path,
    *,
    photographs: Sequence[str] = PHOTOGRAPHS,
    tile: int = TILE,
    size: int = SIZE,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Trial]:
    """Run the demonstration; yields one trial per photograph as it is done.

    Parameters
    ----------
    out : str or Path
        A folder that does not exist, is empty, or holds an earlier demonstration.
    photographs : sequence of str
        Some of `PHOTOGRAPHS`.
    tile : int
        Side of the tiles, in pixels of the photograph.
    size : int
        Side at which the network sees them.
    seed : int
        Places and kinds of the painted defects.

    Raises
    ------
    InputError
        `out` is a file or holds other things.
    """
    workspace = Workspace.claim(Path(out))
    for name in photographs:
        yield _try(workspace, name, tile=tile, size=size, seed=seed, progress=progress)


def _try(workspace: Workspace, name: str, *, tile: int, size: int, seed: int, progress: Progress) -> Trial:
    folder, model = workspace.fresh(name), workspace.out / f"{name}.anomalens"
    tiles = Tiles.cut(load_photograph(name), side=tile, seed=seed)
    with workspace.writing():
        tiles.write(folder)
    started = time.perf_counter()
    fitted = Inspector.fit(
        folder / "train" / "good",
        size=size,
        policy=f"false-alarm-rate={RATE}",
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
    good = [f for f, entry in zip(findings, images, strict=True) if entry.label == "good"]
    defects = [f for f, entry in zip(findings, images, strict=True) if entry.label != "good"]
    return Trial(
        name=name,
        n_normal=fitted.card["data"]["n_images"],
        n_good=len(good),
        n_defects=len(defects),
        found=sum(bool(f.anomalous) for f in defects),
        false_alarms=sum(bool(f.anomalous) for f in good),
        image_auroc=auroc(_scores(good), _scores(defects)),
        pixel_auroc=_pixel_auroc(images, findings),
        fit_seconds=fit_seconds,
        ms_per_image=1000 * check_seconds / len(findings),
        size=size,
        folder=folder,
        model=model,
        page=report.finish(),
    )


def _scores(findings: Sequence[Finding]) -> list[float]:
    return [finding.score for finding in findings if finding.score is not None]


def _pixel_auroc(images: ImageSet, findings: Sequence[Finding]) -> float:
    normal, painted = [], []
    for entry, finding in zip(images, findings, strict=True):
        assert finding.map is not None and finding.original_size is not None
        width, height = finding.original_size
        values = _at_original(finding.map, width, height)
        mask = np.zeros((height, width), bool)
        if entry.mask is not None:
            mask = decode(entry.mask).pixels[..., 0] > 0
        normal.append(values[~mask])
        painted.append(values[mask])
    return auroc(np.concatenate(normal), np.concatenate(painted))


def _at_original(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """The map at the original's pixels (stretched preparation: both cover the whole image)."""
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(int)
    return values[np.ix_(rows, columns)]

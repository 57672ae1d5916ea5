"""What a fit works with, beside the images: one record that every room hands on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anomalens.backbones.runtimes import Runtime
from anomalens.progress import Progress, silent


@dataclass(frozen=True)
class Job:
    """What a fit works with, beside the images.

    Attributes
    ----------
    runtime : Runtime
        Executes the graphs.
    seed : int
    progress : Progress
    checkpoints : Path or None
        Folder where trainings of networks are kept: one that was stopped goes on, one that ended is not
        repeated.
    features : Path or None
        Folder where features of whole images are kept.
    """

    runtime: Runtime
    seed: int = 0
    progress: Progress = silent
    checkpoints: Path | None = None
    features: Path | None = None

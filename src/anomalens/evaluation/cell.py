"""One evaluation as data: what is fitted, how, and to what; the command that does it is made from that."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anomalens.datasets.load import tasks_of
from anomalens.datasets.selection import Selection
from anomalens.datasets.task import Task
from anomalens.inspector.fit_options import DETECTOR, FitOptions
from anomalens.options import plain, words


@dataclass(frozen=True)
class Cell:
    """One evaluation.

    Attributes
    ----------
    selection : Selection
        Gives one task.
    options : FitOptions
        Their seed also draws what of the task is drawn.
    title : str
        The task's name, in tables and in the name of the card's file.
    n_images : int
        How many images the task has.
    """

    selection: Selection
    options: FitOptions
    title: str = ""
    n_images: int = field(default=0, compare=False)

    def load(self) -> Task:
        """Read the task; InputError where its data are not there."""
        return tasks_of(self.selection, seed=self.options.seed)[0]

    @property
    def words(self) -> list[str]:
        """The arguments of `anomalens evaluate` that evaluate it."""
        return [self.selection.dataset, *words(self.selection, leave_out=("dataset",)), *self.options.words()]

    @property
    def command(self) -> str:
        """The command that evaluates it."""
        return shlex.join(["anomalens", "evaluate", *self.words])

    @property
    def file_name(self) -> str:
        """The name of its card: readable, and unique to what decides the figures."""
        digest = hashlib.sha256("\0".join(self.words).encode()).hexdigest()[:10]
        names = f"{self.title}-{self.options.detector or DETECTOR}-{self.options.seed}"
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', names)[:80]}-{digest}.json"

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the process that evaluates it."""
        return {"selection": plain(self.selection), "options": plain(self.options), "title": self.title}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Read what `to_json` gave."""
        options = dict(data["options"])
        for name in ("checkpoints", "feature_cache"):
            options[name] = None if options[name] is None else Path(options[name])
        return cls(Selection(**data["selection"]), FitOptions(**options), data["title"])
